"""Comparisons on the authors' tables: their noise, and labels dealt anew."""

from pathlib import Path

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
from lycoris_bench.analysis.comparing.many_tests import benjamini_hochberg
from lycoris_bench.analysis.comparing.pairs import grids, mean_components, study_noise
from lycoris_bench.analysis.comparing.power import CAPTION_STUDY
from lycoris_bench.analysis.comparing.two_way import two_way
from lycoris_bench.analysis.ranks import scored

pytestmark = pytest.mark.slow
NAMES = [criterion.key for criterion in CRITERIA]
TABLES = [("captions", name) for name in NAMES]  # 8 configurations, 3 seeds, 28 classes (style: 21)
TABLES += [(run, name) for run in ("main-classes", "main-means") for name in NAMES[:2]]  # 18, 3, 6
Grids = dict[tuple[str, str], np.ndarray]


@pytest.fixture(scope="module")
def scores(imported: Path) -> Grids:
    """Run and criterion -> [configurations, seeds, classes] at the last epoch."""
    found = {}
    for run in {run for run, _ in TABLES}:
        metrics = main_views(check(pd.read_parquet(imported / run / "metrics.parquet")))
        cells = units(at_last_epoch(scored(metrics[metrics["prompt_type"] != "train"])))
        cells = cells[cells["category"] == OVERALL]
        found |= {(run, c.key): _grid(cells, c) for c in CRITERIA if (run, c.key) in TABLES}
    return found


def _grid(cells: pd.DataFrame, criterion: Criterion) -> np.ndarray:
    asked = (cells["metric"] == criterion.metric) & (cells["prompt_type"] == criterion.prompt_type)
    there = cells[asked]
    return grids(there, "score", {SERIES: there[SERIES].unique()})


def dealt_anew(cells: np.ndarray, axis: int, random: np.random.Generator) -> np.ndarray:
    """The labels shuffled in each seed, with its classes (axis 1: what was an effect becomes noise
    of training), or in each class, with its seeds (axis 2)."""
    labels = np.argsort(random.random((len(cells), cells.shape[axis])), axis=0)
    order = labels[:, :, None] if axis == 1 else labels[:, None, :]
    return np.take_along_axis(cells, order, axis=0)


@pytest.mark.parametrize("criterion", NAMES)
def test_its_components_are_those_that_plans_are_made_with(scores: Grids, criterion: str) -> None:
    cells, known = scores["captions", criterion], CAPTION_STUDY[criterion]
    assert cells.shape == (8, 3, 21 if criterion == "preservation" else 28)
    for part in ("of_seeds", "of_classes", "residual"):
        assert getattr(mean_components(cells), part) == pytest.approx(
            getattr(known, part), abs=0.0006
        )


@pytest.mark.parametrize("table", TABLES, ids="/".join)
@pytest.mark.parametrize("axis", [1, 2], ids=["in each seed", "in each class"])
def test_labels_dealt_anew_differ_by_no_more_than_chance(
    scores: Grids, table: tuple[str, str], axis: int
) -> None:
    """In at most 6 % of deals is there any difference."""
    random = np.random.default_rng(0)
    deals = (dealt_anew(scores[table], axis, random) for _ in range(300))
    assert np.mean([compare(cells).different.any() for cells in deals]) <= 0.06


@pytest.mark.parametrize("axis", [1, 2], ids=["in each seed", "in each class"])
def test_claims_about_labels_dealt_anew_are_not_found(scores: Grids, axis: int) -> None:
    """A family of 16 claims, four pairs by four criteria, Benjamini-Hochberg: where none is true,
    every discovery is false, and at most 6 % of families may have any. With the noise that the
    pair alone shows it would be 22 % where seeds differ most."""
    random, families = np.random.default_rng(0), []
    for _ in range(300):
        cells = [dealt_anew(scores["captions", name], axis, random) for name in NAMES]
        p = [two_way(c[i] - c[i + 1], study_noise(c)).p for c in cells for i in (0, 2, 4, 6)]
        families.append((benjamini_hochberg(np.array(p)) <= 0.05).any())
    assert np.mean(families) <= 0.06


def test_what_the_paper_reports_is_still_seen(scores: Grids) -> None:
    """Text similarity tells most of the pairs of captions apart."""
    assert compare(scores["captions", "control"]).different.sum() / 2 >= 14
