"""The findings in plain English. A sentence says no more than the dict that it is made from, and
calls nothing best that cannot be told from the others."""

from lycoris_bench.analysis.columns import CRITERIA, OVERALL, Criterion, judged_in
from lycoris_bench.analysis.compare import EQUIVALENT, MARGIN, UNDECIDED
from lycoris_bench.analysis.findings.remarks import absent, below, conflict, copies, left_out
from lycoris_bench.analysis.findings.separation import (
    BEST,
    FEW,
    LEADS,
    LEVEL,
    SAME,
    SINGLE,
    UNRANKED,
    Finding,
    Judged,
    against_winner,
    ranked_names,
    separation,
    told_somewhere,
)
from lycoris_bench.analysis.findings.wording import some
from lycoris_bench.messages.numbers import fixed, number

ONE_CLASS = "With one class this is said of that class alone."
ONE_SEED = (
    "With one seed this is said of these checkpoints, not of their settings: how far a second "
    "training would be from the first was not measured."
)


def overall(findings: Finding, checkpoints: bool = True) -> list[str]:
    """Over all categories: what is worse than the base model, a sentence a criterion, then what
    conflicts, what looks copied, and what could not be compared. `checkpoints`: whether any has a
    score at all."""
    category, ceiling = findings["categories"][OVERALL], findings.get("ceiling")
    judged = _judged(category)
    lines = [
        f"{_verdict(criterion, judgement)}{_detail(criterion, judgement, ceiling)}."
        for criterion, judgement in judged
        if separation(judgement) != FEW
    ]
    if not checkpoints:
        return ["No checkpoint was scored: nothing can be ranked."]
    if not judged:
        return [f"None of the criteria was scored: {some([c.what for c in CRITERIA])}."]
    if not any("score" in row for _, judgement in judged for row in judgement["ranking"]):
        lines.append("No criterion has two checkpoints to compare: nothing can be ranked.")
    told = any(separation(judgement) in (LEADS, BEST) for _, judgement in judged)
    if told and max(judgement.get("seeds", 0) for _, judgement in judged) == 1:
        lines.append(ONE_SEED)
    if told and max(judgement.get("classes", 0) for _, judgement in judged) == 1:
        lines.append(ONE_CLASS)
    return [*below(category), *lines, *conflict(category), *copies(category, ceiling),
            *left_out(judged), *absent(findings)]  # fmt: skip


def of_category(category: Finding, ceiling: Finding | None) -> list[str]:
    """The sentences of one category: which configurations each criterion tells apart."""
    judged = _judged(category)
    parts = [
        f"{_verdict(criterion, judgement)}{_tie(judgement)}."
        for criterion, judgement in judged
        if separation(judgement) not in (SINGLE, FEW)
    ]
    lines = [" ".join(parts)] if parts else []
    return [*below(category), *lines, *copies(category, ceiling), *left_out(judged)]


def _verdict(criterion: Criterion, judgement: Finding) -> str:
    """Superlatives are for what is told apart from all others."""
    field, names = criterion.heading.lower(), ranked_names(judgement)
    if (told := separation(judgement)) == SINGLE:
        return f"{criterion.heading} of {names[0]}, the only configuration scored"
    if told == UNRANKED:
        return f"No two configurations share a concept, so none is ranked in {field}"
    if told == SAME:
        return f"{some(names)} have the same score in {field}"
    if told == LEVEL:
        who = some(names) if len(names) == 2 else f"The {len(names)} configurations"
        if len(against_winner(judgement, EQUIVALENT)) == len(names) - 1:
            return f"{who} are equivalent in {field}"
        if told_somewhere(judgement):
            others = "though some of the others are from one another"
            return f"In {field} nobody is told from {names[0]}, the first, {others}"
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
        return (
            f" ({criterion.what}: scores from {low} to {high} of 1){_floor(criterion, judgement)}"
        )
    spread = f" ± {fixed(top['stderr'])}" if "stderr" in top else ""
    line = f" ({criterion.what}: score {fixed(top['score'])}{spread} of 1"
    if (corrected := fixed(judgement.get("corrected", top["score"]))) != fixed(top["score"]):
        line += f", {corrected} by seeds and classes that had no part in choosing it"
    beside = _beside(judgement) if told == LEADS else ""
    return f"{line}){_way(judgement, ceiling)}{beside}{_floor(criterion, judgement)}"


def _floor(criterion: Criterion, judgement: Finding) -> str:
    """Where the base model is ahead of all, in what training may cost. Preservation is held against
    it, and of fidelity `remarks.below` speaks."""
    base = judgement.get("base", {}).get("value")
    if base is None or criterion.key not in ("control", "diversity"):
        return ""
    sign = 1 if judgement["better"] == "higher" else -1
    ahead = all(sign * base > sign * row["value"] for row in judgement["ranking"])
    return "; the base model is ahead of them all" if ahead else ""


def _beside(judgement: Finding) -> str:
    """Who is not told from the leader."""
    alike, unsure = (against_winner(judgement, word) for word in (EQUIVALENT, UNDECIDED))
    parts = []
    if alike:
        verb = "is" if len(alike) == 1 else "are"
        parts.append(f"{some(alike)} {verb} equivalent to it (within {MARGIN} of score)")
    if unsure:
        verb = "is" if len(unsure) == 1 else "are"
        parts.append(f"{some(unsure)} {verb} not told from it")
    return "; " + " and ".join(parts)


def _way(judgement: Finding, ceiling: Finding | None) -> str:
    """How far the first configuration has come from the base model to the ceiling."""
    share = judgement.get("distance_closed", {}).get(ranked_names(judgement)[0])
    if share is None or ceiling is None:
        return ""
    part = fixed(share["share"])
    error = f" ± {fixed(share['stderr'])}" if "stderr" in share else ""
    if part.startswith("-"):
        return (
            f", further from the training images than the base model by {part[1:]}{error} of the "
            f"way to {ceiling['name']}"
        )
    return f", {part}{error} of the way from the base model to {ceiling['name']}"


def _tie(judgement: Finding) -> str:
    if separation(judgement) != LEADS:
        return ""
    return f" ({_beside(judgement)[2:]})"


def _judged(category: Finding) -> Judged:
    return [(criterion, category[criterion.key]) for criterion in judged_in(category)]
