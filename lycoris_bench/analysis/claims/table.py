"""The verdicts as the page shows them: claims over all categories, and category by category."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lycoris_bench.analysis.claims.significance import SMALL
from lycoris_bench.analysis.claims.verdicts import HOLDS, NOT, UNCLEAR, UNTESTED, Verdict
from lycoris_bench.analysis.columns import OVERALL, ordered, words
from lycoris_bench.analysis.compare import ALPHA
from lycoris_bench.messages.numbers import fixed, plural, significant


def shown(found: Mapping[str, Any], truth: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What `judge` found, of the metrics and, where it is known, of the `truth`, as a dict.

    `rows`, a claim each with its cell over all categories, and a second one of the truth
    (`in_truth`: there is one); `categories` and `exploratory`, rows with a cell per category (None:
    the paper does not claim it there), empty for a single one; `summary`, sentences on both;
    `untested`, (reason, sentences) of claims without any pair; `small`, the size of a little
    effect."""
    verdicts = found["verdicts"]
    cells = {(verdict["id"], verdict["category"]): verdict for verdict in verdicts}
    overall = [verdict for verdict in verdicts if not verdict["exploratory"]]
    there = [verdict for verdict in overall if measured(verdict)]
    known = ordered(verdict["category"] for verdict in verdicts if verdict["exploratory"])
    categories = known if len(known) > 1 and found["categories"]["tests"] else []
    across = [[cells.get((row["id"], name)) for name in categories] for row in there]
    exploratory = [
        _row(verdict, line)
        for verdict, line in zip(there, across, strict=True)
        if any(cell and "p" in cell for cell in line)
    ]
    true = {v["id"]: v for v in truth["verdicts"] if not v["exploratory"]} if truth else {}
    return {
        "in_truth": bool(true),
        "over": known[0] if len(known) == 1 else OVERALL,
        "rows": [
            _row(verdict, [verdict, *([true[verdict["id"]]] if true else [])]) for verdict in there
        ],
        "categories": categories,
        "exploratory": exploratory,
        "summary": summary(found),
        "exploratory_summary": exploratory_summary(found) if len(known) > 1 else [],
        "untested": _reasons([verdict for verdict in overall if not measured(verdict)]),
        "small": SMALL,
    }


def _unjudged(verdict: Verdict) -> bool:
    """Whether there is an effect, and too little for a verdict."""
    return measured(verdict) and verdict["verdict"] == UNTESTED


def measured(verdict: Verdict) -> bool:
    """Whether there are pairs, be they too few for a verdict."""
    return "pairs" in verdict


def summary(found: Mapping[str, Any]) -> list[str]:
    """How many claims hold over all categories, and how far to trust that."""
    overall = [verdict for verdict in found["verdicts"] if not verdict["exploratory"]]
    lines = [f"Of {len(overall)} claims {_counts(overall)}.", *by_chance(found["overall"])]
    if reasons := ordered(v["reason"] for v in overall if _unjudged(v)):
        lines.append(
            f"Without a verdict ({'; '.join(reasons)}) an effect holds between these checkpoints, "
            "on these classes."
        )
    return lines


def exploratory_summary(found: Mapping[str, Any]) -> list[str]:
    """The same of single categories."""
    cells = [verdict for verdict in found["verdicts"] if verdict["exploratory"]]
    if not found["categories"]["tests"]:
        reasons = "; ".join(ordered(verdict["reason"] for verdict in cells if measured(verdict)))
        return [f"No claim can be tested in a single category ({reasons})."] if reasons else []
    return [
        f"Of {plural(len(cells), 'cell')} of claim and category {_counts(cells)}.",
        *by_chance(found["categories"]),
    ]


def by_chance(family: Mapping[str, Any]) -> list[str]:
    """How many verdicts of a family are false, and how many come out of nothing."""
    if not family["tests"]:
        return []
    count = family["verdicts"]
    false = (
        f"Of the {_many(count, 'verdict', 'verdicts')} at most "
        f"{significant(family['false'], 2, short=True)} ({ALPHA:.0%}) are to be expected false."
        if count
        else "No verdict is given."
    )
    return [
        f"{false} With the sides of all pairs exchanged at random, class by class, "
        f"{fixed(family['exchanged'])} verdicts come out on average, in 95% of draws at most "
        f"{family['exchanged_95']}."
    ]


def amount(verdict: Verdict) -> str:
    """What a verdict is from.

    >>> amount({"pairs": 8, "seeds": 3, "classes": 1})
    '8 pairs, 3 seeds, 1 class'
    """
    pairs = "pairs of algorithms" if "tau" in verdict else "pairs"
    nouns = {"pairs": ("pair", pairs), "seeds": ("seed", "seeds"), "classes": ("class", "classes")}
    return ", ".join(_many(verdict[key], *noun) for key, noun in nouns.items())


def _many(count: int, singular: str, plural: str) -> str:
    return f"{count} {singular if count == 1 else plural}"


def _counts(verdicts: Sequence[Verdict]) -> str:
    count = Counter(verdict["verdict"] for verdict in verdicts)
    unjudged = sum(map(_unjudged, verdicts))
    effect = f", {unjudged} {'has' if unjudged == 1 else 'have'} an effect without a verdict"
    return (
        f"{count[HOLDS]} {'holds' if count[HOLDS] == 1 else 'hold'}, "
        f"{count[NOT]} {'does' if count[NOT] == 1 else 'do'} not, "
        f"{count[UNCLEAR]} {'is' if count[UNCLEAR] == 1 else 'are'} unclear"
        f"{effect if unjudged else ''} and {count[UNTESTED] - unjudged} cannot be tested here"
    )


def _row(verdict: Verdict, cells: Sequence[Verdict | None]) -> dict[str, Any]:
    return {
        "id": verdict["id"],
        "sentence": verdict["sentence"],
        "section": verdict["section"],
        "what": f"{words(verdict['metric'])}, {verdict['prompt_type']} prompts",
        "cells": [cell and _cell(cell) for cell in cells],
    }


def _cell(verdict: Verdict) -> dict[str, Any]:
    """The texts of a cell; those that it has not are empty."""
    given = verdict["verdict"]
    if not measured(verdict):
        return {"verdict": "", "effect": "", "p": "", "detail": verdict["reason"], "amount": ""}
    if "tau" in verdict:
        effect, detail = f"tau {fixed(verdict['tau'], signed=True)}", ""
        if "comparisons" in verdict:
            detail = (
                f"{verdict['confirmed']} of {plural(verdict['pairs'], 'pair')} confirmed, "
                f"{verdict['contradicted']} contradicted"
            )
    else:
        effect, detail = fixed(verdict["effect"], signed=True), ""
        if "low" in verdict:
            low, high = (fixed(verdict[key], signed=True) for key in ("low", "high"))
            detail = f"{low} to {high}"
    p = verdict.get("p_adjusted")
    return {
        "verdict": _unsaid(verdict) if given == UNTESTED else given,
        "kind": {HOLDS: "best", NOT: "against"}.get(given, "soft"),
        "effect": effect,
        "detail": detail,
        "p": "" if p is None else "< 0.001" if p < 0.001 else fixed(p, 3),
        "amount": amount(verdict),
    }


def _unsaid(verdict: Verdict) -> str:
    """What stands in a verdict's place, and whether the effect is against the claim."""
    against = {"more": -1, "less": 1}.get(verdict.get("expected", ""), 0) * verdict.get("effect", 0)
    return "no verdict, the other way" if against > 0 else "no verdict"


def _reasons(untested: Sequence[Verdict]) -> list[tuple[str, list[str]]]:
    reasons: dict[str, list[str]] = {}
    for verdict in untested:
        reasons.setdefault(verdict["reason"], []).append(verdict["sentence"])
    return list(reasons.items())
