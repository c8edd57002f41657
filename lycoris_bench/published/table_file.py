"""A CSV file of theirs, read strictly: what is damaged is named with its line and column. And the
text of one like theirs."""

import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path

from lycoris_bench.files import disk
from lycoris_bench.messages.numbers import plural
from lycoris_bench.messages.printable import printable, spreadsheet
from lycoris_bench.published.renames import PublishedError

ROUNDING = 1e-3  # by which their arithmetic may leave the bounds of a metric
Row = tuple[int, list[str]]


def table_rows(path: Path) -> list[Row]:
    """(line, cells) of each row that is not empty."""
    reader = csv.reader(disk.read_text(path).split("\n"), strict=True)
    try:
        return [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise PublishedError(f"{path}, line {reader.line_num}: {error}") from None


def titled_rows(path: Path, needed: tuple[str, ...] = ()) -> tuple[list[str], list[Row]]:
    """(titles, rows) of a table whose rows all have as many cells as there are titles."""
    (_, titles), *rows = table_rows(path) or [(1, [])]
    if lacking := [name for name in needed if name not in titles]:
        raise PublishedError(f"{path} lacks the columns: {', '.join(lacking)}")
    if twice := next((title for title in titles if titles.count(title) > 1), None):
        raise PublishedError(f"{path} has two columns '{twice}'")
    for line, row in rows:
        if len(row) != len(titles):
            raise PublishedError(
                f"{path}, line {line}: it has {plural(len(row), 'cell')} and the table "
                f"{plural(len(titles), 'column')}; the file is damaged"
            )
    return titles, rows


def number(
    path: Path, line: int, title: str, cell: str, bounds: tuple[float, float]
) -> float | None:
    """The finite number in a cell, between the bounds; None if it is empty."""
    if not cell.strip():
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in cell:
        raise PublishedError(f"{path}, line {line}, column '{title}': '{cell}' is no number")
    low, high = bounds
    if not low - ROUNDING <= value <= high + ROUNDING:
        allowed = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of {low:g} or more"
        raise PublishedError(
            f"{path}, line {line}, column '{title}': {cell} cannot be; a number {allowed} is needed"
        )
    return value


def to_csv(titles: list[str], rows: Iterable[list[str]]) -> str:
    """The text of a table in which no name is a formula of a spreadsheet or hides anything."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([spreadsheet(printable(title, len(title))) for title in titles])
    for name, *cells in rows:
        writer.writerow([spreadsheet(printable(name, len(name))), *cells])
    return buffer.getvalue()
