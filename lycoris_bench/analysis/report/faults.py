"""What the report shows of copies and of leak."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lycoris_bench.analysis.columns import OVERALL, SERIES, UNASKED, ordered
from lycoris_bench.analysis.leak import FIDELITY, TRUTH

CONCEPTS = 6  # of which leak is shown in pictures
MOST = 5  # series in pictures of leak
LOOK = ["encoder", "resize"]


def copying(copies: pd.DataFrame | None, pairs: pd.DataFrame | None) -> dict[str, Any] | None:
    """A table for each encoder and resizing: rates by category; those of classes; and the pairs."""
    if copies is None:
        return None
    tables = []
    for look, rows in copies.groupby(LOOK, sort=False):
        of_all = rows[rows["unit"] == ""]
        categories = _categories(of_all)
        by_class = rows[(rows["unit"] != "") & (rows["category"] == OVERALL)]
        tables.append({
            "encoder": look[0], "resize": look[1], "categories": categories,
            "rows": _by_series(of_all, "category", categories),
            "classes": ordered(by_class["unit"]),
            "by_class": _by_series(by_class, "unit", ordered(by_class["unit"])),
        })  # fmt: skip
    return {"tables": tables, "pairs": [] if pairs is None else pairs.to_dict("records")}


def leak(leaks: pd.DataFrame | None, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """A table for each prompt type, by the main encoder and by the truth, and pictures."""
    if leaks is None:
        return None
    tables = []
    for (kind, metric), rows in leaks.groupby(["prompt_type", "metric"], sort=False):
        categories = _categories(rows)
        tables.append({
            "prompt_type": kind, "metric": metric, "true": metric == TRUTH,
            "encoder": rows["encoder"].iloc[0], "categories": categories,
            "rows": _by_series(rows, "category", categories),
        })  # fmt: skip
    return {
        "against": leaks["against"].iloc[0], "any_sure": bool(leaks["sure"].any()),
        "tables": tables, "pictures": _pictures(leaks, entries),
    }  # fmt: skip


def _categories(rows: pd.DataFrame) -> list[str]:
    """All of them together first; a single one is its own mean."""
    names = [name for name in ordered(rows["category"]) if name != OVERALL]
    return [OVERALL] if len(names) == 1 else [OVERALL, *names]


def _by_series(rows: pd.DataFrame, column: str, names: Sequence[str]) -> list[dict[str, Any]]:
    made = []
    for series, own in rows.groupby(SERIES, sort=False):
        cells = {row[column]: row for row in own.to_dict("records")}
        made.append({"name": series, "cells": [cells.get(name) for name in names]})
    return made


def _pictures(leaks: pd.DataFrame, entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """At one seed, of the checkpoints that the gallery has and that leak most: base and checkpoint
    without the trigger, and the checkpoint with it."""
    found = leaks[(leaks["metric"] == FIDELITY) & (leaks["category"] == OVERALL)]
    against = leaks["against"].iloc[0]
    there = {(str(e["concept"]), e["prompt_type"]): e for e in entries}
    order = ordered(found.sort_values("unasked", ascending=False, kind="stable")["configuration"])
    made = []
    for concept in ordered(concept for concept, _ in there)[:CONCEPTS]:
        asked = there.get((concept, against))
        for kind in UNASKED:
            without = there.get((concept, kind))
            if asked is None or without is None:
                continue
            pictures = {row["label"]: row["images"][0] for row in without["rows"]}
            of_asked = {row["label"]: row["images"][0] for row in asked["rows"]}
            labels = sorted(
                (label for label in pictures if label != "base" and label in of_asked),
                key=lambda label: _place(order, label),
            )
            if labels and "base" in pictures:
                made.append({
                    "concept": concept, "prompt_type": kind,
                    "prompts": [entry["prompt"].split(" | ")[0] for entry in (without, asked)],
                    "rows": [
                        {"label": label, "images": [pictures["base"], pictures[label],
                                                    of_asked[label]]}
                        for label in labels[:MOST]
                    ],
                })  # fmt: skip
    return made


def _place(order: Sequence[str], label: str) -> int:
    name = label.partition("/")[0]
    return order.index(name) if name in order else len(order)
