"""Every claim against a table of scores: holds, does not, unclear, or cannot be tested here."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pandas as pd

from lycoris_bench.analysis.aggregation import units
from lycoris_bench.analysis.claims import interval
from lycoris_bench.analysis.claims import pairs as matched
from lycoris_bench.analysis.claims.claims import CLAIMS, LESS, LITTLE, ORDERS, Claim, Order
from lycoris_bench.analysis.claims.contrasts import CONTRASTS, EPOCHS, pairs, settings
from lycoris_bench.analysis.columns import OVERALL, ordered, words

HOLDS, NOT, UNCLEAR, UNTESTED = "holds", "does not", "unclear", "cannot be tested here"
SMALL = 0.1  # an effect that is "little": less than a tenth of the way from the worst to the best
INSTEAD = {"trigger": ("alter", "train")}  # what a table without trigger prompts is asked
Verdict = dict[str, Any]
Said = TypeVar("Said", Claim, Order)


def judge(scores: pd.DataFrame, factors: pd.DataFrame) -> list[Verdict]:
    """One record per claim and category (OVERALL first): id, sentence, section, metric,
    prompt_type, category, verdict and n (pairs); where it was tested effect, low, high (of the
    score) and value (the mean difference of the metric itself), else a reason.

    scores: ranked rows of the main views; factors: one row per configuration."""
    cells = units(scores)
    table = settings(factors)
    matches = {name: pairs(table, contrast) for name, contrast in CONTRASTS.items()}
    verdicts: list[Verdict] = []
    for claim in CLAIMS:
        verdicts += _claims(*_seen(claim, cells), matches[claim.contrast])
    for ranking in ORDERS:
        verdicts += _orders(*_seen(ranking, cells), table)
    return verdicts


def _seen(claim: Said, cells: pd.DataFrame) -> tuple[Said, pd.DataFrame]:
    """The claim about prompts that the table has, and its rows.

    Published means lack the Vendi score on trigger prompts: where the claim's own prompts are
    missing the next best are taken, and the record names them."""
    rows = cells[cells["metric"] == claim.metric]
    there = set(rows["prompt_type"])
    asked = (claim.prompt_type, *INSTEAD.get(claim.prompt_type, ()))
    prompt_type = next((k for k in asked if k in there), claim.prompt_type)
    return replace(claim, prompt_type=prompt_type), rows[rows["prompt_type"] == prompt_type]


def _claims(
    claim: Claim, rows: pd.DataFrame, asked: Sequence[tuple[str, str]]
) -> Iterator[Verdict]:
    contrast = CONTRASTS[claim.contrast]
    of_units = rows.loc[rows["category"] != OVERALL, ["unit", "category"]].drop_duplicates()
    categories = dict(of_units.itertuples(index=False))
    units = [unit for unit in rows["unit"].unique() if claim.said_of(categories.get(unit, ""))]
    rows = rows[rows["unit"].isin(units)]
    if claim.contrast == EPOCHS:
        differences = matched.over_epochs(rows)
        none = "only one epoch was scored"
    else:
        differences = matched.between(rows, asked)
        none = f"no two configurations differ in {contrast.what} alone"
        none = "no such pair was trained with the same seed to the same epoch" if asked else none
    for category, part in _categories(rows, differences):
        about = _about(claim, category, len(part))
        if reason := _why_not(claim, rows, part, none):
            yield about | {"verdict": UNTESTED, "reason": reason}
            continue
        scores, values = interval.grids(part, ["score", "value"])
        mean, low, high = interval.effect(scores)
        value = float(pd.Series(values.ravel()).mean())
        yield about | {
            "verdict": verdict(claim.expected, low, high),
            "effect": mean, "low": low, "high": high, "value": value,
        }  # fmt: skip


def _orders(claim: Order, rows: pd.DataFrame, table: pd.DataFrame) -> Iterator[Verdict]:
    contexts = matched.contexts(rows, table)
    for category, part in _categories(rows, contexts):
        about = _about(claim, category, len(part))
        there = [name for name in claim.ranks if name in contexts]
        none = "fewer than three of the algorithms were trained alike"
        if reason := _why_not(claim, rows, part if len(there) > 2 else part[:0], none):
            yield about | {"verdict": UNTESTED, "reason": reason}
            continue
        tau, low, high = matched.agreement(part, claim.ranks)
        yield about | {
            "verdict": verdict("more", low, high),
            "effect": tau, "low": low, "high": high, "members": there,
        }  # fmt: skip


def verdict(expected: str, low: float, high: float) -> str:
    """What an interval of an effect says of a claim.

    >>> verdict("more", 0.1, 0.3), verdict("less", 0.1, 0.3), verdict("more", -0.1, 0.3)
    ('holds', 'does not', 'unclear')
    >>> verdict("little", -0.02, 0.05), verdict("little", 0.2, 0.3), verdict("little", 0.0, 0.3)
    ('holds', 'does not', 'unclear')
    """
    if expected == LITTLE:
        inside, outside = low >= -SMALL and high <= SMALL, low > SMALL or high < -SMALL
        return HOLDS if inside else NOT if outside else UNCLEAR
    if expected == LESS:
        low, high = -high, -low
    return HOLDS if low > 0 else NOT if high < 0 else UNCLEAR


def _categories(
    rows: pd.DataFrame, differences: pd.DataFrame
) -> Iterable[tuple[str, pd.DataFrame]]:
    """(category, its differences), OVERALL first, which every row is under too."""
    for category in [OVERALL, *ordered(c for c in rows["category"] if c != OVERALL)]:
        yield category, differences[differences["category"] == category]


def _why_not(claim: Claim | Order, rows: pd.DataFrame, part: pd.DataFrame, none: str) -> str | None:
    if rows.empty:
        return f"no scores of {words(claim.metric)} on {claim.prompt_type} prompts"
    if part.empty:
        return none
    seeds, classes = part["seed"].nunique(), part["unit"].nunique()
    if max(seeds, classes) < interval.MIN_CLUSTERS:
        return (
            f"{seeds} seed{'s' * (seeds > 1)} and {classes} class{'es' * (classes > 1)}: "
            f"at least {interval.MIN_CLUSTERS} of one of them are needed"
        )
    return None


def _about(claim: Claim | Order, category: str, n: int) -> Verdict:
    return {
        "id": claim.id, "sentence": claim.sentence, "section": claim.section,
        "metric": claim.metric, "prompt_type": claim.prompt_type, "category": category, "n": n,
    }  # fmt: skip
