"""Comparisons on the authors' caption study: its noise, and labels dealt anew."""

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis.aggregation import units
from lycoris_bench.analysis.columns import (
    CRITERIA,
    OVERALL,
    SERIES,
    Criterion,
    at_last_epoch,
    check,
    main_views,
)
from lycoris_bench.analysis.compare import compare
from lycoris_bench.analysis.comparing.pairs import grids, mean_components
from lycoris_bench.analysis.comparing.power import CAPTION_STUDY
from lycoris_bench.analysis.ranks import scored

pytestmark = pytest.mark.slow
NAMES = [criterion.key for criterion in CRITERIA]


@pytest.fixture(scope="module")
def scores(captions: pd.DataFrame) -> dict[str, np.ndarray]:
    """Criterion -> [configurations, seeds, classes] at the last epoch."""
    metrics = main_views(check(captions))
    rows = at_last_epoch(scored(metrics[metrics["prompt_type"] != "train"]))
    cells = units(rows)
    cells = cells[cells["category"] == OVERALL]
    return {criterion.key: _grid(cells, criterion) for criterion in CRITERIA}


def _grid(cells: pd.DataFrame, criterion: Criterion) -> np.ndarray:
    chosen = (cells["metric"] == criterion.metric) & (cells["prompt_type"] == criterion.prompt_type)
    sides = cells[chosen].groupby(SERIES, sort=False)
    return grids({name: part.set_index(["seed", "unit"])["score"] for name, part in sides})


@pytest.mark.parametrize("criterion", NAMES)
def test_its_components_are_those_that_plans_are_made_with(
    scores: dict[str, np.ndarray], criterion: str
) -> None:
    found, known = mean_components(scores[criterion]), CAPTION_STUDY[criterion]
    assert scores[criterion].shape == (8, 3, 21 if criterion == "preservation" else 28)
    for part in ("of_seeds", "of_classes", "residual"):
        assert getattr(found, part) == pytest.approx(getattr(known, part), abs=0.0006)


@pytest.mark.parametrize("criterion", NAMES)
@pytest.mark.parametrize("axis", [1, 2], ids=["each seed", "each class"])
def test_labels_dealt_anew_differ_by_no_more_than_chance(
    scores: dict[str, np.ndarray], criterion: str, axis: int
) -> None:
    """The eight labels are shuffled in each class, with its seeds, or in each seed, with its
    classes, where what was an effect is noise of training."""
    random, cells = np.random.default_rng(0), scores[criterion]
    false = []
    for _ in range(300):
        labels = np.argsort(random.random((len(cells), cells.shape[axis])), axis=0)
        order = labels[:, :, None] if axis == 1 else labels[:, None, :]
        false.append(compare(np.take_along_axis(cells, order, axis=0)).different.any())
    assert np.mean(false) <= 0.06


def test_a_claim_of_the_paper_is_still_seen(scores: dict[str, np.ndarray]) -> None:
    """Text similarity tells most of the configurations apart."""
    assert compare(scores["control"]).different.sum() / 2 >= 14
