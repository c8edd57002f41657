"""False verdicts on a study in which no claim is true: the main study's configurations, with scores
that do not depend on them. Part of `python -m benchmarks.inference`."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import inference_before as before
from lycoris_bench.analysis.claims import differences
from lycoris_bench.analysis.claims.claims import CLAIMS, LITTLE, ORDERS
from lycoris_bench.analysis.claims.contrasts import CONTRASTS, EPOCHS, pairs, settings
from lycoris_bench.analysis.claims.grid import Grids
from lycoris_bench.analysis.claims.verdicts import HOLDS, NOT, judged
from lycoris_bench.analysis.columns import CRITERIA, ordered
from lycoris_bench.analysis.comparing.power import CAPTION_STUDY
from lycoris_bench.analysis.run_tables import factors
from lycoris_bench.analysis.series import split_by_strength
from lycoris_bench.study import load
from lycoris_bench.study.records import MetricRow

CLASSES = {"anime": 5, "movie characters": 5, "scenes": 5, "stuffed toys": 6, "styles": 7}
EPOCH = (10, 30, 50)


def main_study() -> pd.DataFrame:
    """`contrasts.settings` of the paper's 26 configurations."""
    known = factors(load.load("package:configs/paper.toml").configurations)
    nothing = pd.DataFrame(columns=MetricRow.columns())
    return settings(split_by_strength(nothing, known)[1])


def of_nothing(
    table: pd.DataFrame, seeds: int, random: np.random.Generator, louder: int = 0
) -> Grids:
    """Scores with the caption study's components (of a difference; a score has half of them), dealt
    anew for every configuration and epoch. Styles have no preservation. louder: so many
    configurations, any, are twice as noisy."""
    categories = np.repeat(list(CLASSES), list(CLASSES.values())).astype("object")
    shape = (len(table), seeds, len(EPOCH), len(categories))
    scores = {}
    scale = np.ones((len(table), 1, 1, 1))
    scale[random.permutation(len(table))[:louder]] = 2.0
    for criterion in CRITERIA:
        parts = CAPTION_STUDY[criterion.key]
        grid = np.zeros(shape)
        for variance, shared in (
            (parts.of_seeds, (*shape[:3], 1)),
            (parts.of_classes, (shape[0], 1, *shape[2:])),
            (parts.residual, shape),
        ):
            grid += scale * random.normal(0, np.sqrt(variance / 2), shared)
        if criterion.key == "preservation":
            grid[..., categories == "styles"] = np.nan
        scores[criterion.metric, criterion.prompt_type] = grid
    return Grids(scores, scores, list(table["series"]), EPOCH, categories)


def of_claims(count: int) -> Iterator[str]:
    """The lines of the benchmark: `count` studies after, a tenth of them before."""
    table = main_study()
    for seeds in (3, 1):
        before = counts_before(table, seeds, max(2, count // 10)).mean(axis=0)
        after = counts_after(table, seeds, count).mean(axis=0)
        for place, name in enumerate(("all categories", "single categories")):
            false, given = after[place]
            yield (
                f"false verdicts if no setting does anything, {name}, 26 x {seeds} x 28: "
                f"{before[place]:.2f} -> {false:.2f} (of {given:.2f}: 5 % are promised)"
            )


def false_and_given(found: Mapping[str, Any], *, exploratory: bool) -> tuple[int, int]:
    """The verdicts that say that a setting does something, and all that are given: that a change
    is little is true."""
    given = [
        verdict
        for verdict in found["verdicts"]
        if verdict["exploratory"] == exploratory and verdict["verdict"] in (HOLDS, NOT)
    ]
    true = sum(v["verdict"] == HOLDS and v.get("expected") == LITTLE for v in given)
    return len(given) - true, len(given)


def counts_after(table: pd.DataFrame, seeds: int, count: int, louder: int = 0) -> np.ndarray:
    """[studies, overall and in categories, false and given]."""
    random = np.random.default_rng(0)
    drawn = (of_nothing(table, seeds, random, louder) for _ in range(count))
    judgements = (judged(seen, table, 0) for seen in drawn)
    return np.array([[false_and_given(found, exploratory=family) for family in (False, True)]
                     for found in judgements])  # fmt: skip


def counts_before(table: pd.DataFrame, seeds: int, count: int) -> np.ndarray:
    """False ones by intervals of resampled seeds and classes, each claim on its own: [studies,
    overall and in categories]."""
    random = np.random.default_rng(0)
    matches = {name: pairs(table, contrast) for name, contrast in CONTRASTS.items()}
    return np.array([_before(of_nothing(table, seeds, random), table, matches)
                     for _ in range(count)])  # fmt: skip


def _before(seen: Grids, table: pd.DataFrame, matches: Mapping[str, Any]) -> tuple[int, int]:
    totals = [0, 0]
    for claim in CLAIMS:
        grid = seen.scores[claim.metric, claim.prompt_type]
        said = np.array([claim.said_of(category) for category in seen.categories])
        if claim.contrast == EPOCHS:
            moved = differences.over_epochs(grid, len(seen.epochs))
        elif matches[claim.contrast]:
            moved = differences.between(grid, seen.series, matches[claim.contrast])
        else:
            continue
        for exploratory, columns in _parts(seen, grid, said):
            cells = differences.cells(moved)[:, columns]
            totals[exploratory] += before.claims_change(cells, claim.expected)
    for order in ORDERS:
        grid = seen.scores[order.metric, order.prompt_type]
        members = differences.of_members(grid, seen.series, table)
        best_first = sorted(members, key=lambda name, of=order: -of.ranks[name])
        cells = np.stack([differences.cells(members[name]) for name in best_first])
        for exploratory, columns in _parts(seen, grid, np.ones(grid.shape[-1], dtype=bool)):
            totals[exploratory] += before.orders(cells[..., columns])
    return totals[0], totals[1]


def _parts(seen: Grids, grid: np.ndarray, said: np.ndarray) -> Iterator[tuple[bool, np.ndarray]]:
    there = said & ~np.isnan(grid).all(axis=(0, 1, 2))
    yield False, there
    for category in ordered(seen.categories[there]):
        yield True, there & (seen.categories == category)
