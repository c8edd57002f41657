"""Interference and merging in plain English. A sentence says no more than the tests of
`differences.py` do."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from lycoris_bench.analysis.columns import OVERALL
from lycoris_bench.analysis.findings.wording import some
from lycoris_bench.analysis.series import name
from lycoris_bench.analysis.several_concepts.differences import (
    JUDGED,
    UNDECIDED,
    Differences,
)
from lycoris_bench.messages.numbers import number


def sentences(found: Differences) -> list[str]:
    """What is told apart, with its numbers; then what is not."""
    return [*_interference(found.interference), *_merging(found.merging)]


def _interference(table: pd.DataFrame) -> Iterator[str]:
    for together, rows in _said(table).groupby("configuration", sort=False):
        for row in rows[rows["verdict"] != UNDECIDED].itertuples():
            yield (
                f"Taught together ({together}), {row.field} is {row.verdict} than of each concept "
                f"taught alone, by {_by(row)}."
            )
        if unsure := list(rows[rows["verdict"] == UNDECIDED]["field"]):
            yield (
                f"In {some(unsure)}, concepts taught together ({together}) are not told from each "
                "taught alone."
            )


def _merging(table: pd.DataFrame) -> Iterator[str]:
    for (merged, against), rows in _said(table).groupby(["configuration", "against"], sort=False):
        unsure: dict[tuple[str, ...], list[str]] = {}
        for field, part in rows.groupby("field", sort=False):
            several = part["strength"].nunique() > 1
            for row in part[part["verdict"] != UNDECIDED].itertuples():
                yield (
                    f"{name(merged, row.strength, several)}, concepts taught apart and merged, is "
                    f"{row.verdict} in {field} than concepts taught together ({against}), by "
                    f"{_by(row)}."
                )
            level = part["strength"][part["verdict"] == UNDECIDED]
            if at := tuple(name(merged, strength, several) for strength in level):
                unsure.setdefault(at, []).append(field)
        for names, fields in sorted(unsure.items(), key=lambda item: len(item[0])):
            verb = "is" if len(names) == 1 else "are"
            yield (
                f"In {some(fields)}, {some([*names])} {verb} not told from concepts taught "
                f"together ({against})."
            )


def _said(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a verdict, in the order of the criteria, each with the name of its."""
    fields = {(c.metric, c.prompt_type): c.heading.lower() for c in JUDGED}
    rows = table[(table["concept"] == OVERALL) & (table["verdict"] != "")]
    pairs = zip(rows["metric"], rows["prompt_type"], strict=True)
    rows = rows.assign(field=[fields[pair] for pair in pairs])
    order = rows["field"].map({field: k for k, field in enumerate(fields.values())})
    return rows.assign(order=order).sort_values("order", kind="stable")


def _by(row: Any) -> str:
    """`0.031 ± 0.004 (image similarity on trigger prompts, 3 classes, 2 seeds)`."""
    asked = row.metric, row.prompt_type
    what = next(c.what for c in JUDGED if (c.metric, c.prompt_type) == asked)
    counts = [f"{n} {word if n == 1 else many}" for n, word, many in (
        (row.classes, "class", "classes"), (row.seeds, "seed", "seeds"))]  # fmt: skip
    size, error = number(abs(row.difference)), number(row.stderr)
    return f"{size} ± {error} ({what}, {', '.join(counts)})"
