"""What is said beside the verdicts: who is worse than the base model, what conflicts, what looks
copied, and what could not be compared."""

from lycoris_bench.analysis.columns import judged_in
from lycoris_bench.analysis.comparing.rank_correlation import rank_correlation
from lycoris_bench.analysis.findings.separation import (
    BEST,
    LEADS,
    SAME,
    SINGLE,
    UNRANKED,
    Finding,
    Judged,
    others,
    ranked_names,
    separation,
)
from lycoris_bench.analysis.findings.wording import ordinal, some
from lycoris_bench.messages.numbers import fixed, number


def below(category: Finding) -> list[str]:
    """Which configurations are further from the training images than the base model is, or are
    not shown to be closer."""
    against = category.get("fidelity", {}).get("against_base", {})
    worse = [name for name, row in against.items() if row["verdict"] == "worse"]
    closer = [name for name, row in against.items() if row["verdict"] == "closer"]
    if not worse:
        if not against or closer:
            return []
        who = some(list(against)) if len(against) == 1 else "No configuration"
        verb = "is not shown" if len(against) == 1 else "is shown"
        return [f"{who} {verb} to be closer to the training images than the base model is."]
    if len(worse) < len(against):
        verb = "is" if len(worse) == 1 else "are"
        return [f"{some(worse)} {verb} further from the training images than the base model is."]
    nearest = next(name for name in ranked_names(category["fidelity"]) if name in worse)
    who, best = (nearest, "") if len(worse) == 1 else ("Every configuration", " at best")
    value, base = number(against[nearest]["value"]), number(against[nearest]["base"])
    return [
        f"{who} is further from the training images than the base model is "
        f"({judged_in(category)[0].what}: {value}{best}, {base} for the base model)."
    ]


def conflict(category: Finding) -> list[str]:
    """Whether the more faithful are the less controllable, and where the most faithful stands."""
    sides = [category[key] for key in ("fidelity", "control") if key in category]
    if len(sides) < 2 or any(separation(side) not in (LEADS, BEST) for side in sides):
        return []
    scores = [{r["configuration"]: r["score"] for r in s["ranking"] if "score" in r} for s in sides]
    both = [name for name in scores[0] if name in scores[1]]
    found = rank_correlation(*([side[name] for name in both] for side in scores))
    lines = []
    if found is not None and found.high < 0:
        lines.append(
            "Fidelity and control conflict: the more faithful a configuration, the less "
            f"controllable (rank correlation {fixed(found.mean)}, {fixed(found.low)} to "
            f"{fixed(found.high)}, over {len(both)} configurations)."
        )
    best = sides[0]["best"]
    if best not in scores[1]:
        return lines
    place = next(row["rank"] for row in sides[1]["ranking"] if row["configuration"] == best)
    count = len(scores[1])
    if best == sides[1]["best"] and all(separation(side) == BEST for side in sides):
        return [*lines, f"{best} is first in both fidelity and control."]
    who = "the most faithful" if separation(sides[0]) == BEST else "which leads in fidelity"
    where = ordinal(place[0])
    if place[0] != place[1]:
        where = f"between {where} and {ordinal(place[1])}"
    return [*lines, f"{best}, {who}, is {where} of {count} in control."]


def absent(findings: Finding) -> list[str]:
    """Who was to be compared and has no score at the epoch that is judged."""
    if not (names := findings.get("absent")):
        return []
    when = f" at epoch {findings['epoch']}" if "epoch" in findings else ""
    verbs = ("has", "is") if len(names) == 1 else ("have", "are")
    return [f"{some(names)} {verbs[0]} no score{when} and {verbs[1]} left out."]


def copies(category: Finding, ceiling: Finding | None) -> list[str]:
    """More like the training images than real images are: a sign of copying."""
    shares = category.get("fidelity", {}).get("distance_closed", {})
    above = [name for name, share in shares.items() if share.get("low", 0) > 1]
    if not above or ceiling is None:
        return []
    verb = "lies" if len(above) == 1 else "lie"
    return [
        f"{some(above)} {verb} above the ceiling: closer to the training images than "
        f"{ceiling['like']}, which is a sign of copying."
    ]


def left_out(judged: Judged) -> list[str]:
    """What could not be compared for want of cells, criterion by criterion."""
    few: dict[str, list[str]] = {}
    lines: dict[str, list[str]] = {}
    for criterion, judgement in judged:
        field = criterion.heading.lower()
        if separation(judgement) not in (SAME, SINGLE, UNRANKED):
            names = [row["configuration"] for row in others(judgement) if row.get("few")]
            every = len(names) == len(others(judgement))
            few.setdefault("" if every else some(names), []).append(field) if names else None
        for text in _incomplete(judgement):
            lines.setdefault(text, []).append(field)
    said = [
        f"With fewer than two pairs of seed and class to compare, no difference can be told from "
        f"noise in {some(fields)}" + (f" for {names}." if names else ".")
        for names, fields in few.items()
    ]
    return said + [f"In {some(fields)} {text}." for text, fields in lines.items()]


def _incomplete(judgement: Finding) -> list[str]:
    """Who is not ranked, as it lacks what the others have; what all were not compared on."""
    texts = []
    if unranked := [row["configuration"] for row in judgement.get("unranked", ())]:
        verb = "lacks cells that the others have and is" if len(unranked) == 1 else (
            "lack cells that the others have and are")  # fmt: skip
        top = max((row["score"] for row in judgement["ranking"] if "score" in row), default=1)
        above = any(row["score"] > top for row in judgement["unranked"])
        texts.append(f"{some(unranked)} {verb} not ranked" + above * ", though of a higher score")
    classes, every = judgement.get("classes", 0), judgement.get("of_classes", 0)
    if classes < every:
        texts.append(
            f"all are compared on {classes} of {every} classes, which all ranked ones have"
        )
    return texts
