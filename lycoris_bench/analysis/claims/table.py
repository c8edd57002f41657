"""The verdicts as the page shows them: claims down, categories across."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from lycoris_bench.analysis.claims.claims import ORDERS
from lycoris_bench.analysis.claims.verdicts import HOLDS, NOT, SMALL, UNCLEAR, UNTESTED, Verdict
from lycoris_bench.analysis.columns import OVERALL, ordered, words


def shown(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """categories, rows with a cell for each (None: not said of it), summary, and `untested`:
    (reason, sentences) of the claims that no category of the run can test."""
    tested = {one["id"] for one in verdicts if one["verdict"] != UNTESTED}
    there = [one for one in verdicts if one["id"] in tested]
    names = [name for name in ordered(one["category"] for one in there) if name != OVERALL]
    categories = names if len(names) == 1 else [OVERALL, *names]
    cells = {(one["id"], one["category"]): one for one in there}
    rows = [
        {
            "sentence": one["sentence"],
            "section": one["section"],
            "what": f"{words(one['metric'])}, {one['prompt_type']} prompts",
            "cells": [cells.get((one["id"], name)) for name in categories],
        }
        for one in there
        if one["category"] == OVERALL
    ]
    return {
        "categories": categories,
        "rows": rows,
        "untested": _reasons([one for one in verdicts if one["id"] not in tested]),
        "summary": summary(verdicts),
        "small": SMALL,
    }


def summary(verdicts: Sequence[Verdict]) -> str:
    """How many claims hold over all categories, and in how many cells Table 1's orders do."""
    overall = [one for one in verdicts if one["category"] == OVERALL]
    count = Counter(one["verdict"] for one in overall)
    line = (
        f"Of {len(overall)} claims, over all categories: {count[HOLDS]} hold, {count[NOT]} do not, "
        f"{count[UNCLEAR]} are unclear, {count[UNTESTED]} cannot be tested here."
    )
    names = {claim.id for claim in ORDERS}
    cells = [
        one for one in verdicts
        if one["id"] in names and one["category"] != OVERALL and "effect" in one
    ]  # fmt: skip
    if cells:
        agree = sum(one["verdict"] == HOLDS for one in cells)
        line += (
            f" Table 1’s order of algorithms shows in {agree} of {len(cells)} cells of criterion "
            "and category."
        )
    return line


def _reasons(untested: Sequence[Verdict]) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for one in untested:
        if one["category"] == OVERALL:
            found.setdefault(one["reason"], []).append(one["sentence"])
    return list(found.items())
