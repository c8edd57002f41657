"""The findings in plain English. Every sentence says only what the dict beside it holds."""

from typing import Any

from lycoris_bench.analysis.columns import CRITERIA, OVERALL, Criterion

Finding = dict[str, Any]


def overall(findings: Finding) -> list[str]:
    """Over all categories: a sentence a criterion, then what conflicts and what looks copied."""
    found = findings["categories"][OVERALL]
    judged = [(c, found[c.key]) for c in CRITERIA if c.key in found]
    if not judged:
        return ["No criterion has two checkpoints to compare: nothing can be ranked."]
    lines = [_best(criterion, one) for criterion, one in judged]
    return [*lines, *_conflict(found), *_copies(found), *_noise(found)]


def of_category(found: Finding) -> list[str]:
    """A category in a sentence or two: the best of each criterion, ties said."""
    parts = []
    for criterion in CRITERIA:
        if criterion.key in found:
            one = found[criterion.key]
            tied = f" (tied with {_some(one['tied_with'])})" if _tied(one) else ""
            parts.append(f"{one['best']}{tied} {_verdict(criterion, one)}")
    lines = ["; ".join(parts) + "."] if parts else []
    return [*lines, *_copies(found), *_noise(found)]


def _best(criterion: Criterion, one: Finding) -> str:
    top = one["ranking"][0]
    spread = f" ± {top['stderr']:.2f}" if "stderr" in top else ""
    line = (
        f"{one['best']} {_verdict(criterion, one)} "
        f"({criterion.what}: score {top['score']:.2f}{spread} of 1)"
    )
    if share := one.get("distance_closed", {}).get(one["best"]):
        line += f", {share['share']:.2f} of the way from the base model to held-out real images"
    if _tied(one):
        line += f"; the difference to {_some(one['tied_with'])} is inside the noise"
    return line + "."


def _verdict(criterion: Criterion, one: Finding) -> str:
    """Superlatives are for what is told apart from the next."""
    return f"leads in {criterion.heading.lower()}" if one["tie"] else criterion.verdict


def _tied(one: Finding) -> bool:
    """A tie worth naming names for: not one of which too few cells are the cause."""
    return one["tie"] and "cells" not in one


def _conflict(found: Finding) -> list[str]:
    """Whether the most faithful is also among the least controllable."""
    if "fidelity" not in found or "control" not in found:
        return []
    best = found["fidelity"]["best"]
    order = [row["configuration"] for row in found["control"]["ranking"]]
    if best not in order or len(order) < 3:
        return []
    place = order.index(best) + 1
    if place == 1:
        return [f"{best} is both: no trade-off between fidelity and control shows here."]
    if place > len(order) / 2:
        return [
            f"The two conflict: {best}, the most faithful, is {_ordinal(place)} of {len(order)} "
            "in control."
        ]
    return [f"{best}, the most faithful, is {_ordinal(place)} of {len(order)} in control."]


def _copies(found: Finding) -> list[str]:
    """More like the training images than held-out real images are: a sign of copying."""
    shares = found.get("fidelity", {}).get("distance_closed", {})
    above = [name for name, share in shares.items() if share["share"] > 1]
    if not above:
        return []
    verb = "lies" if len(above) == 1 else "lie"
    return [
        f"{_some(above)} {verb} above the ceiling: closer to the training images than held-out "
        "real images are, which is a sign of copying."
    ]


def _noise(found: Finding) -> list[str]:
    cells = [one["cells"] for one in found.values() if isinstance(one, dict) and "cells" in one]
    if not cells:
        return []
    count = f"{min(cells)} pair{'s' if min(cells) > 1 else ''} of seed and class"
    return [f"With only {count} to compare, no difference can be told from noise."]


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
