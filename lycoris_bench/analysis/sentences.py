"""The findings in plain English. A sentence says no more than the dict that it is made from, and
calls nothing best that cannot be told from the others."""

from collections.abc import Mapping
from typing import Any

from lycoris_bench.analysis.columns import CRITERIA, OVERALL, Criterion
from lycoris_bench.messages.numbers import fixed, number

Finding = Mapping[str, Any]
Judged = list[tuple[Criterion, Finding]]
SINGLE, UNRANKED, SAME, FEW, LEVEL, LEADS, BEST = (
    "single", "unranked", "same", "few", "level", "leads", "best",
)  # fmt: skip


def overall(findings: Finding, checkpoints: bool = True) -> list[str]:
    """Over all categories: what is worse than the base model, a sentence a criterion, then what
    conflicts and what looks copied. `checkpoints`: whether any has a score at all."""
    category, ceiling = findings["categories"][OVERALL], findings.get("ceiling")
    judged = _judged(category)
    lines = [
        f"{_verdict(criterion, judgement)}{_detail(criterion, judgement, ceiling)}."
        for criterion, judgement in judged
        if separation(judgement) != FEW
    ]
    if below := _below(category):
        lines = [*below, *lines]
    if not checkpoints:
        return ["No checkpoint was scored: nothing can be ranked."]
    if not judged:
        return [f"None of the criteria was scored: {_some([c.what for c in CRITERIA])}."]
    if not any("score" in row for _, judgement in judged for row in judgement["ranking"]):
        lines.append("No criterion has two checkpoints to compare: nothing can be ranked.")
    return [*lines, *_conflict(category), *_copies(category, ceiling), *_too_few(judged)]


def of_category(category: Finding, ceiling: Finding | None) -> list[str]:
    """The sentences of one category: which configurations each criterion tells apart."""
    judged = _judged(category)
    parts = [
        f"{_verdict(criterion, judgement)}{_tie(judgement)}."
        for criterion, judgement in judged
        if separation(judgement) not in (SINGLE, FEW)
    ]
    lines = [" ".join(parts)] if parts else []
    return [*_below(category), *lines, *_copies(category, ceiling), *_too_few(judged)]


def separation(judgement: Finding) -> str:
    """How far the configurations can be told apart, as one of the constants above."""
    if len(judgement["ranking"]) == 1:
        return SINGLE
    if "best" not in judgement:
        return UNRANKED
    scores = [row["score"] for row in judgement["ranking"] if "score" in row]
    if max(scores) == min(scores):
        return SAME
    if "cells" in judgement:
        return FEW
    if len(judgement["tied_with"]) == len(scores) - 1:
        return LEVEL
    return LEADS if judgement["tie"] else BEST


def _judged(category: Finding) -> Judged:
    return [
        (criterion, category[criterion.key]) for criterion in CRITERIA if criterion.key in category
    ]


def _names(judgement: Finding) -> list[str]:
    return [row["configuration"] for row in judgement["ranking"]]


def _verdict(criterion: Criterion, judgement: Finding) -> str:
    """Superlatives are for what is told apart from all others."""
    field, names = criterion.heading.lower(), _names(judgement)
    if (told := separation(judgement)) == SINGLE:
        return f"{criterion.heading} of {names[0]}, the only configuration scored"
    if told == UNRANKED:
        return f"No two configurations share a concept, so none is ranked in {field}"
    if told == SAME:
        return f"{_some(names)} have the same score in {field}"
    if told == LEVEL:
        who = _some(names) if len(names) == 2 else f"The {len(names)} configurations"
        return f"{who} cannot be told apart in {field}"
    return (
        f"{judgement['best']} leads in {field}"
        if told == LEADS
        else f"{judgement['best']} {criterion.verdict}"
    )


def _detail(criterion: Criterion, judgement: Finding, ceiling: Finding | None) -> str:
    """The numbers behind a verdict."""
    told, top = separation(judgement), judgement["ranking"][0]
    scores = [row["score"] for row in judgement["ranking"] if "score" in row]
    if told == SINGLE:
        return f": {number(top['value'])} ({criterion.what}){_way(judgement, ceiling)}"
    if told == UNRANKED:
        return f" ({criterion.what})"
    if told == SAME:
        return f" ({criterion.what}: {fixed(scores[0])} of 1)"
    if told == LEVEL:
        low, high = fixed(min(scores)), fixed(max(scores))
        return f" ({criterion.what}: scores from {low} to {high} of 1)"
    spread = f" ± {fixed(top['stderr'])}" if "stderr" in top else ""
    line = (
        f" ({criterion.what}: score {fixed(top['score'])}{spread} of 1){_way(judgement, ceiling)}"
    )
    if told == LEADS:
        line += f"; the difference to {_some(judgement['tied_with'])} is inside the noise"
    return line


def _way(judgement: Finding, ceiling: Finding | None) -> str:
    """How far the first configuration has come from the base model to the ceiling."""
    share = judgement.get("distance_closed", {}).get(_names(judgement)[0])
    if share is None or ceiling is None:
        return ""
    part = fixed(share["share"])
    if part.startswith("-"):
        return (
            f", further from the training images than the base model by {part[1:]} of the way to "
            f"{ceiling['name']}"
        )
    return f", {part} of the way from the base model to {ceiling['name']}"


def _tie(judgement: Finding) -> str:
    return (
        f" (but cannot be told from {_some(judgement['tied_with'])})"
        if separation(judgement) == LEADS
        else ""
    )


def _below(category: Finding) -> list[str]:
    """Which configurations are further from the training images than the base model is."""
    against = category.get("fidelity", {}).get("against_base", {})
    worse = {name: row for name, row in against.items() if row["worse"]}
    if not worse:
        return []
    if len(worse) < len(against):
        verb = "is" if len(worse) == 1 else "are"
        return [
            f"{_some(list(worse))} {verb} further from the training images than the base model is."
        ]
    nearest = next(name for name in _names(category["fidelity"]) if name in worse)
    who, best = (nearest, "") if len(worse) == 1 else ("Every configuration", " at best")
    value, base = number(worse[nearest]["value"]), number(worse[nearest]["base"])
    return [
        f"{who} is further from the training images than the base model is "
        f"({CRITERIA[0].what}: {value}{best}, {base} for the base model)."
    ]


def _conflict(category: Finding) -> list[str]:
    """Whether the most faithful is also among the least controllable."""
    sides = [category[key] for key in ("fidelity", "control") if key in category]
    if len(sides) < 2 or any(separation(side) not in (LEADS, BEST) for side in sides):
        return []
    best, order = sides[0]["best"], _names(sides[1])
    if best not in order or len(order) < 3:
        return []
    place = order.index(best) + 1
    if place == 1:
        return [f"{best} is first in both: no trade-off between fidelity and control shows here."]
    who = "the most faithful" if separation(sides[0]) == BEST else "which leads in fidelity"
    line = f"{best}, {who}, is {_ordinal(place)} of {len(order)} in control."
    return [f"The two conflict: {line}" if place > (len(order) + 1) / 2 else line]


def _copies(category: Finding, ceiling: Finding | None) -> list[str]:
    """More like the training images than real images are: a sign of copying."""
    shares = category.get("fidelity", {}).get("distance_closed", {})
    above = [name for name, share in shares.items() if share["share"] > 1]
    if not above or ceiling is None:
        return []
    verb = "lies" if len(above) == 1 else "lie"
    return [
        f"{_some(above)} {verb} above the ceiling: closer to the training images than "
        f"{ceiling['like']}, which is a sign of copying."
    ]


def _too_few(judged: Judged) -> list[str]:
    """For which criteria there is too little data to tell anything apart, and how much there is."""
    fields: dict[int, list[str]] = {}
    for criterion, judgement in judged:
        if separation(judgement) == FEW:
            fields.setdefault(judgement["cells"], []).append(criterion.heading.lower())
    return [
        f"With {_pairs(n)} of seed and class to compare, "
        f"no difference can be told from noise in {_some(names)}."
        for n, names in sorted(fields.items())
    ]


def _pairs(n: int) -> str:
    return f"only {n} pair{'s' * (n > 1)}" if n else "no pair"


def _some(names: list[str]) -> str:
    """Up to three names, the rest as a number.

    >>> _some(["a"]), _some(["a", "b"]), _some(list("abcde"))
    ('a', 'a and b', 'a, b, c and 2 more')
    """
    shown = names[:3] if len(names) > 4 else names
    rest = len(names) - len(shown)
    words = [*shown, f"{rest} more"] if rest else list(shown)
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _ordinal(number: int) -> str:
    """
    >>> [_ordinal(n) for n in (1, 2, 3, 11, 22)]
    ['1st', '2nd', '3rd', '11th', '22nd']
    """
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ending}"
