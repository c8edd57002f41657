"""The verdicts as the page shows them: claims down, categories across."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from lycoris_bench.analysis.claims.claims import ORDERS
from lycoris_bench.analysis.claims.verdicts import HOLDS, NOT, SMALL, UNCLEAR, UNTESTED, Verdict
from lycoris_bench.analysis.columns import OVERALL, ordered, words


def shown(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """A dict: `categories`; `rows`, one a claim, with a cell per category (None: the paper does not
    claim it there); `summary`, a sentence; `untested`, (reason, sentences) of the claims that no
    category of the run can test; `small`, the size of a little effect."""
    tested = {verdict["id"] for verdict in verdicts if verdict["verdict"] != UNTESTED}
    there = [verdict for verdict in verdicts if verdict["id"] in tested]
    names = [name for name in ordered(verdict["category"] for verdict in there) if name != OVERALL]
    categories = names if len(names) == 1 else [OVERALL, *names]
    cells = {(verdict["id"], verdict["category"]): verdict for verdict in there}
    rows = [
        {
            "sentence": verdict["sentence"],
            "section": verdict["section"],
            "what": f"{words(verdict['metric'])}, {verdict['prompt_type']} prompts",
            "cells": [cells.get((verdict["id"], name)) for name in categories],
        }
        for verdict in there
        if verdict["category"] == OVERALL
    ]
    return {
        "categories": categories,
        "rows": rows,
        "untested": _reasons([verdict for verdict in verdicts if verdict["id"] not in tested]),
        "summary": summary(verdicts),
        "small": SMALL,
    }


def summary(verdicts: Sequence[Verdict]) -> str:
    """How many claims hold over all categories, and in how many cells Table 1's orders do."""
    overall = [verdict for verdict in verdicts if verdict["category"] == OVERALL]
    count = Counter(verdict["verdict"] for verdict in overall)
    line = (
        f"Of {len(overall)} claims, over all categories: {count[HOLDS]} hold, {count[NOT]} do not, "
        f"{count[UNCLEAR]} are unclear, {count[UNTESTED]} cannot be tested here."
    )
    names = {claim.id for claim in ORDERS}
    cells = [
        verdict for verdict in verdicts
        if verdict["id"] in names and verdict["category"] != OVERALL and "effect" in verdict
    ]  # fmt: skip
    if cells:
        agree = sum(verdict["verdict"] == HOLDS for verdict in cells)
        line += (
            f" Table 1’s order of algorithms shows in {agree} of {len(cells)} cells of criterion "
            "and category."
        )
    return line


def _reasons(untested: Sequence[Verdict]) -> list[tuple[str, list[str]]]:
    reasons: dict[str, list[str]] = {}
    for verdict in untested:
        if verdict["category"] == OVERALL:
            reasons.setdefault(verdict["reason"], []).append(verdict["sentence"])
    return list(reasons.items())
