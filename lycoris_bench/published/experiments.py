"""config_mapping.csv: which experiment of the authors is which configuration of a study."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lycoris_bench.published.renames import CAPTIONS, PublishedError, translated
from lycoris_bench.published.table_file import titled_rows
from lycoris_bench.study.load import Study
from lycoris_bench.study.records import Configuration, Option

Number = TypeVar("Number", int, float)
COLUMNS = ("Config", "Algo", "Preset", "Lr", "Dim", "Alpha", "Factor", "Caption")
WHOLE = 10000  # their LoKr dimension: no block is decomposed, and dim and alpha have no part


def experiments(mapping: Path, study: Study) -> dict[str, Configuration]:
    """Experiment -> the study's configuration with the same algorithm, layers, rate, options and
    captions. An experiment that the study does not ask for is left out."""
    known = {c.uid: c for c in study.configurations}
    titles, rows = titled_rows(mapping, COLUMNS)
    configurations = {}
    for line, cells in rows:
        row = dict(zip(titles, cells, strict=True))
        try:
            described = configuration(row)
        except PublishedError as error:
            raise PublishedError(f"{mapping}, line {line}: {error}") from None
        if match := known.get(described.uid):
            configurations[row["Config"]] = match
    return configurations


def configuration(row: dict[str, str]) -> Configuration:
    """A row of the mapping in our terms, under the authors' name."""
    options: dict[str, Option] = {}
    if row["Algo"] == "lokr":
        options["factor"] = _number(row, "Factor", int)
    if row["Algo"] != "full" and not (row["Algo"] == "lokr" and _number(row, "Dim", int) >= WHOLE):
        options |= {"dim": _number(row, "Dim", int), "alpha": _number(row, "Alpha", int)}
    return Configuration(
        row["Config"], row["Algo"], row["Preset"], _number(row, "Lr", float),
        tuple(sorted(options.items())),
        captions=translated(CAPTIONS, row["Caption"], "kind of captions"),
    )  # fmt: skip


def _number(row: dict[str, str], title: str, kind: Callable[[str], Number]) -> Number:
    try:
        return kind(row[title])
    except ValueError:
        raise PublishedError(f"column '{title}': '{row[title]}' is no number") from None
