"""How far the configurations of a judgement can be told apart, in one word."""

from collections.abc import Mapping
from typing import Any

from lycoris_bench.analysis.columns import Criterion
from lycoris_bench.analysis.compare import DIFFERENT

Finding = Mapping[str, Any]
Judged = list[tuple[Criterion, Finding]]
SINGLE, UNRANKED, SAME, FEW, LEVEL, LEADS, BEST = (
    "single", "unranked", "same", "few", "level", "leads", "best",
)  # fmt: skip


def separation(judgement: Finding) -> str:
    """How far the configurations can be told apart, as one of the constants above."""
    if len(judgement["ranking"]) == 1:
        return SINGLE
    if "best" not in judgement:
        return UNRANKED
    scores = [row["score"] for row in judgement["ranking"] if "score" in row]
    if max(scores) == min(scores):
        return SAME
    verdicts = [row["verdict"] for row in others(judgement)]
    if all(row.get("few") for row in others(judgement)):
        return FEW
    if DIFFERENT not in verdicts:
        return LEVEL
    return BEST if set(verdicts) == {DIFFERENT} else LEADS


def told_somewhere(judgement: Finding) -> bool:
    """Whether any two are told apart: then one of them cannot have every rank."""
    ranks = [row["rank"] for row in judgement["ranking"] if "rank" in row]
    return any(list(rank) != [1, len(ranks)] for rank in ranks)


def others(judgement: Finding) -> list[Finding]:
    """The rows that were compared with the winner."""
    return [row for row in judgement["ranking"] if "verdict" in row]


def ranked_names(judgement: Finding) -> list[str]:
    """The configurations of the ranking, best first."""
    return [row["configuration"] for row in judgement["ranking"]]


def against_winner(judgement: Finding, *verdicts: str) -> list[str]:
    """Those of which one of the verdicts was given."""
    return [row["configuration"] for row in others(judgement) if row["verdict"] in verdicts]
