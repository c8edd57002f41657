"""What the report shows of longer training."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from lycoris_bench.analysis.columns import CRITERIA
from lycoris_bench.messages.numbers import fixed, plural

HEADINGS = {criterion.key: criterion.heading for criterion in CRITERIA}
SAID = {"rises": "{} rises ({})", "falls": "{} falls ({})", "as before": "{} stays as it was"}


def shown(table: pd.DataFrame | None, categories: Sequence[str]) -> dict[str, Any] | None:
    """A sentence for each stretch of training, of all categories together, and a table of each:
    criteria by stretches."""
    if table is None or table.empty:
        return None
    parts = [(name, table[table["category"] == name]) for name in categories]
    return {
        "sentences": [_sentence(rows) for _, rows in _stretches(parts[0][1])],
        "seeds": int(table["seeds"].max()),
        "tables": [_table(name, rows) for name, rows in parts if len(rows)],
    }


def _stretches(rows: pd.DataFrame) -> list[tuple[tuple[int, int], pd.DataFrame]]:
    made = rows.groupby(["before", "after"], sort=True)
    return [((int(before), int(after)), part) for (before, after), part in made]


def _sentence(rows: pd.DataFrame) -> str:
    """What a stretch of training changes, the sure things first."""
    first = rows.iloc[0]
    changes = {row.criterion: f"{row.change:+.2f}" for row in rows.itertuples()}
    if first["seeds"] == 1:
        named = [f"{HEADINGS[key].lower()} {change}" for key, change in changes.items()]
        parts = [", ".join(named), "with one training seed none of it is decided"]
    else:
        parts = [
            SAID[verdict].format(HEADINGS[key].lower(), changes[key])
            for verdict in SAID
            for key in rows[rows["verdict"] == verdict]["criterion"]
        ]
        left = rows[rows["verdict"] == "undecided"]["criterion"]
        named = [f"{HEADINGS[key].lower()} ({changes[key]})" for key in left]
        parts += [f"undecided: {', '.join(named)}"] if named else []
    return (
        f"From epoch {first['before']} to {first['after']}, over "
        f"{plural(int(rows['configurations'].max()), 'configuration')}: {'; '.join(parts)}."
    )


def _table(name: str, rows: pd.DataFrame) -> dict[str, Any]:
    stretches = _stretches(rows)
    cells: dict[str, list[dict[str, Any] | None]] = {}
    for place, (_, part) in enumerate(stretches):
        for row in part.to_dict("records"):
            line = cells.setdefault(str(row["criterion"]), [None] * len(stretches))
            line[place] = {
                "change": f"{row['change']:+.2f}", "verdict": row["verdict"],
                "error": "" if pd.isna(row["stderr"]) else fixed(row["stderr"]),
            }  # fmt: skip
    return {
        "category": name,
        "stretches": [stretch for stretch, _ in stretches],
        "rows": [{"heading": HEADINGS[key], "cells": line} for key, line in cells.items()],
    }
