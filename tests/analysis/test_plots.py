"""What can be said of a picture without looking at it."""

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis.aggregation import by_checkpoint, by_configuration, references
from lycoris_bench.analysis.columns import main_views
from lycoris_bench.analysis.pictures import agreement, over, scatters
from lycoris_bench.analysis.plots.beeswarm import beeswarm, swarm
from lycoris_bench.analysis.plots.labels import spread
from lycoris_bench.analysis.plots.scatter import front, some
from lycoris_bench.analysis.ranks import positions, rank_scores


def test_the_front_equals_a_naive_search() -> None:
    rng = np.random.default_rng(0)
    points = pd.DataFrame(rng.integers(0, 9, size=(60, 2)), columns=["x", "y"])
    expected = set()
    for a in points.itertuples():
        beaten = any(
            b.x >= a.x and b.y >= a.y and (b.x, b.y) != (a.x, a.y) for b in points.itertuples()
        )
        if not beaten:
            expected.add((a.x, a.y))
    assert set(front(points).itertuples(index=False, name=None)) == expected


def test_both_ends_of_the_front_are_named_first() -> None:
    points = pd.DataFrame({"x": range(20)})
    assert some(points)["x"].tolist() == [19, 0, 4, 8, 11, 15]
    assert some(points.head(1))["x"].tolist() == [0]


@pytest.mark.parametrize("seed", range(5))
def test_spread_names_keep_their_order_and_distance(seed: int) -> None:
    heights = np.random.default_rng(seed).random(8).tolist()
    moved = spread(heights, 0.1)
    assert np.argsort(moved).tolist() == np.argsort(heights).tolist()
    assert np.diff(sorted(moved)).min() > 0.1 - 1e-9
    assert np.mean(moved) == pytest.approx(np.mean(heights))


def test_dots_of_a_swarm_do_not_hide_one_another() -> None:
    values = np.repeat([0.0, 1.0, 2.0], [9, 4, 1])
    offsets = swarm(values)
    assert len(set(zip(values, offsets, strict=True))) == 14
    assert abs(offsets).max() <= 0.4


def test_pictures_are_svg_and_the_same_each_time(
    study: pd.DataFrame, factors: pd.DataFrame
) -> None:
    seen = main_views(study)
    scores = rank_scores(seen)
    toys = [
        frame[frame["category"] == "toys"]
        for frame in (by_configuration(scores), by_checkpoint(scores), references(positions(seen)))
    ]
    made = [*scatters(toys[0], toys[2], factors), *over("epoch", toys[1], toys[2], factors)]
    assert len(made) == 3 + 4
    for picture in made:
        assert ET.fromstring(picture.svg).tag.endswith("svg")
        assert picture.alt
    assert next(scatters(toys[0], toys[2], factors)).svg == made[0].svg


def test_a_name_with_a_dollar_is_no_formula(factors: pd.DataFrame) -> None:
    rows = [
        {"feature": f, "feature_value": v, "shap": s, "metric": "vendi", "prompt_type": "trigger"}
        for f, v, s in (
            ("algorithm", "lo$ra$", 0.1),
            ("algorithm", "$\\x", -0.1),
            ("epoch", "10", 0.0),
        )
    ]
    names = factors.assign(algorithm=["lo$ra$", "$\\x"] * 5 + ["lo$ra$"])
    shap = pd.DataFrame(rows).assign(r2=0.5, r2_cv=0.1, base_value=0.5)
    assert ET.fromstring(beeswarm(shap, names)).tag.endswith("svg")


def test_agreement_needs_two_views(study: pd.DataFrame) -> None:
    from lycoris_bench.analysis.correlation import correlations

    one = rank_scores(study[(study["metric"] == "vendi")])
    assert list(agreement(correlations(one), one)) == []
    every = rank_scores(study)
    assert len(list(agreement(correlations(every), every))) == 2
