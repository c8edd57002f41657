"""What real images score is a ceiling only if a perfect generator scores it too: by simulation.

A perfect generator draws from the distribution that the dataset was drawn from."""

import numpy as np
import pytest

from lycoris_bench.scoring.metrics import METRICS
from lycoris_bench.scoring.metrics.gram_statistics import GramSet
from lycoris_bench.scoring.metrics.inputs import INPUTS

DRAWN, TRAINING, HELD_OUT, RUNS = 12, 8, 3, 800
SIDE = 3
CENTRE = np.random.default_rng(5).normal(size=SIDE * SIDE)


def draw(rng, count):
    return CENTRE + 0.8 * rng.normal(size=(count, SIDE * SIDE))


def value(metric, generated, reference):
    """The metric as scored: groups and weights as of one concept."""
    if metric.pooled:
        sides = (GramSet(), GramSet())
        for grams, images in zip(sides, (generated, reference), strict=True):
            grams.add([images.reshape(-1, SIDE, SIDE)])
        return float(metric(*sides))
    inputs = {
        "generated": generated,
        "reference": reference,
        "groups": np.zeros(len(generated), dtype=int),
        "weights": (np.ones(len(generated)), np.ones(len(reference))),
    }
    return float(np.mean(metric(**{row.name: inputs[row.name] for row in metric.inputs})))


def simulated(metric):
    """Mean and standard error of (ceiling - perfect generator): of halves, and of held-out."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(RUNS):
        training = draw(rng, TRAINING)
        perfect = value(metric, draw(rng, DRAWN), training)
        halves = value(metric, training[1::2], training[::2])
        rows.append((halves - perfect, value(metric, draw(rng, HELD_OUT), training) - perfect))
    rows = np.array(rows)
    return rows.mean(axis=0), rows.std(axis=0, ddof=1) / np.sqrt(RUNS)


SIDES = {INPUTS[name] for name in ("generated", "reference", "groups", "weights")}
OF_IMAGES = sorted(name for name, m in METRICS.entries().items() if SIDES.issuperset(m.inputs))


@pytest.mark.parametrize("name", OF_IMAGES)
def test_a_ceiling_is_what_a_perfect_generator_scores_or_absent(name):
    """Both ways of a ceiling are unbiased, or the metric says that it needs equal n: image_sets.py
    then gives real images no such number (tests/scoring/test_sets.py)."""
    metric = METRICS.entries()[name]
    bias, error = simulated(metric)
    if metric.equal_n:
        assert (np.abs(bias) > 8 * error).all(), "it does not depend on n: it may have a ceiling"
    else:
        assert (np.abs(bias) < 4 * error).all()


def test_the_centroid_distance_of_small_sets_is_their_variance():
    """E |mean a - mean b|^2 = V/n + V/m, V the variance of normalised features."""
    rng = np.random.default_rng(1)
    metric = METRICS.entries()["centroid_distance"]
    many = draw(rng, 200_000)
    unit = many / np.linalg.norm(many, axis=1, keepdims=True)
    spread = np.square(unit - unit.mean(axis=0)).sum(axis=1).mean()
    for n, m in ((TRAINING // 2, TRAINING // 2), (DRAWN, TRAINING)):
        found = [metric(draw(rng, n), draw(rng, m)) for _ in range(2000)]
        error = np.std(found) / np.sqrt(len(found))
        assert np.mean(found) == pytest.approx(spread / n + spread / m, abs=4 * error)
