"""Claims on the authors' tables with the labels dealt anew: at most the nominal false verdicts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.inference_claims import false_and_given
from lycoris_bench.analysis.claims.contrasts import settings
from lycoris_bench.analysis.claims.grid import Grids, grids
from lycoris_bench.analysis.claims.verdicts import judged
from tests.published.test_paper_page import RUNS, tables

pytestmark = pytest.mark.slow


def dealt(seen: Grids, random: np.random.Generator, axis: int) -> Grids:
    """Which configuration and epoch a score is of is shuffled, in all views alike: in each class
    with its seeds (axis 2), or in each seed with its classes (axis 1), where what was an effect is
    noise of training. Epochs that are none have no scores here."""
    epochs = len(seen.epochs)
    series, seeds, _, classes = next(iter(seen.scores.values())).shape
    order = np.argsort(random.random((series * epochs, (0, seeds, classes)[axis])), axis=0)
    order = order[:, :, None] if axis == 1 else order[:, None]

    def shuffled(grid: np.ndarray) -> np.ndarray:
        flat = np.moveaxis(grid[:, :, :epochs], 2, 1).reshape(-1, seeds, classes)
        flat = np.take_along_axis(flat, order, axis=0)
        return np.moveaxis(flat.reshape(series, epochs, seeds, classes), 1, 2)

    scores, values = (
        {view: shuffled(grid) for view, grid in part.items()} for part in (seen.scores, seen.values)
    )
    return replace(seen, scores=scores, values=values)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("axis", [1, 2], ids=["each seed", "each class"])
def test_shuffled_labels_give_no_more_than_the_nominal_false_verdicts(
    imported: Path, run: str, axis: int
) -> None:
    """No setting does anything: 5 % of tables may have a verdict that one does, and of those that
    are given (that a change is little is true) 5 % may be such."""
    scores, factors = tables(imported / run)
    seen, table = grids(scores), settings(factors)
    random = np.random.default_rng(0)
    counts = []
    for _ in range(150):
        found = judged(dealt(seen, random, axis), table, 0)
        counts.append([false_and_given(found, exploratory=family) for family in (False, True)])
    false, given = np.moveaxis(np.array(counts), 2, 0)
    share = (false / np.maximum(given, 1)).mean(axis=0)
    assert (share <= 0.05).all()
