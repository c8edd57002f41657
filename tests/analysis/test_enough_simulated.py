"""How much is enough, in studies of known variance components: what is estimated from parts of a
study is what they are, and what it foretells is what other studies find."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from lycoris_bench.analysis.comparing.pairs import pair_estimates
from lycoris_bench.analysis.comparing.power import share_found, smallest_difference
from lycoris_bench.analysis.comparing.two_way import two_sided
from lycoris_bench.analysis.enough.components import by_images, in_scores_of, mean_of, reach
from lycoris_bench.analysis.enough.held_out import held_out
from lycoris_bench.analysis.enough.jackknife import jackknife
from lycoris_bench.analysis.enough.stability import kendall, means
from tests.support.drawn_studies import Variances, ranked, sampled

NOISE = Variances(of_seeds=0.02, of_classes=0.5, residual=0.3, of_images=0.8, rest=0.6, shared=0.03)
TRUE = np.linspace(-0.8, 0.8, 6)


@pytest.mark.parametrize("halves", [False, True])
def test_components_are_found_without_bias(halves: bool) -> None:
    """Values in place of ranks; those of a difference are twice those of one configuration. Halves
    alone say it too."""
    random = np.random.default_rng(0)
    studies = [sampled(NOISE.draw(TRUE, 3, 12, 8, random), by_rank=False) for _ in range(150)]
    if halves:
        studies = [replace(study, of_images={4: study.of_images[4]}) for study in studies]
    found = [by_images(study) for study in studies]
    for name, expected in (
        ("fixed.of_classes", 2 * NOISE.of_classes),
        ("fixed.residual", 2 * NOISE.residual),
        ("per_image.of_classes", 2 * NOISE.of_images),
        ("per_image.residual", 2 * NOISE.rest),
        ("shared", 2 * NOISE.shared),
        ("whole.of_seeds", 2 * NOISE.of_seeds),
    ):
        first, _, rest = name.partition(".")
        values = [getattr(one, first) for one in found]
        values = np.array([getattr(v, rest) for v in values] if rest else values)
        error = stats.sem(values)
        assert error < (0.3 if halves else 0.15) * expected
        assert values.mean() == pytest.approx(expected, abs=3 * error), name


@pytest.mark.study
def test_ranks_of_more_images_are_foretold() -> None:
    """From studies with 8 images: what 16 would have, in the scores of 8."""
    random = np.random.default_rng(1)
    noise, foretold, measured = Variances(0, 0.5, 0.3, 0.8, 0.6), [], []
    for _ in range(80):
        values = noise.draw(TRUE, 2, 16, 16, random)
        half, whole = sampled(values[..., ::2]), sampled(values)
        parts = by_images(half)
        assert parts
        at_16 = in_scores_of(whole.whole, whole.whole[None])
        scale = reach(whole.whole, whole.of_images[8]) ** 2  # of 16 images in the scores of 8
        foretold.append([parts.at(16).of_classes, parts.at(16).residual, parts.whole.of_classes])
        measured.append([at_16.of_classes * scale, at_16.residual * scale, np.nan])
    said, true = np.mean(foretold, axis=0), np.mean(measured, axis=0)
    assert said[:2] == pytest.approx(true[:2], rel=0.05)
    assert said[2] > 1.07 * true[0]  # what 8 images have is not what 16 have


def test_more_of_all_orders_better() -> None:
    """Kendall's tau with the true order grows with images, seeds and classes."""
    random = np.random.default_rng(2)
    noise = Variances(0.1, 1.0, 0.5, 3.0, 2.0)
    found = {}
    for size in ((1, 8, 1), (1, 8, 8), (3, 8, 8), (3, 32, 8)):
        taus = [
            kendall(means(ranked(noise.draw(TRUE, *size, random).mean(axis=-1))), TRUE)
            for _ in range(60)
        ]
        found[size] = float(np.mean(taus))
    orders = [*found.values()]
    assert all(more > less + 0.04 for less, more in pairwise(orders)), found


@pytest.mark.study
def test_the_rule_finds_what_is_foretold() -> None:
    """The smallest difference that 16 images find, foretold from studies of 8, against the one that
    the comparison of pairs finds 4 times in 5; in ranks."""
    random = np.random.default_rng(3)
    noise, (seeds, classes, count) = Variances(0, 0.5, 0.3, 0.8, 0.6), (2, 16, len(TRUE))
    foretold, unit = [], []
    for _ in range(40):
        study = sampled(noise.draw(TRUE, seeds, classes, 8, random))
        parts = by_images(study)
        assert parts
        foretold.append(smallest_difference(parts.at(16), seeds, classes, configurations=count))
        unit.append(study.whole)
    first, second = np.triu_indices(count, 1)
    of_eight = np.mean([means(scores) for scores in unit], axis=0)
    tests = []
    for _ in range(300):
        scores = ranked(noise.draw(TRUE, seeds, classes, 16, random).mean(axis=-1))
        mean, stderr, df, _ = pair_estimates(scores, first, second)
        tests.append(two_sided(mean, stderr, df) <= 0.05)
    share = np.mean(tests, axis=0)
    apart = of_eight[second] - of_eight[first]  # in the scores of 8 images
    order = np.argsort(apart)
    # the share grows as a normal distribution does: a straight line of its quantiles
    clear = [k for k in order if 0.15 < share[k] < 0.99]
    slope, start = np.polyfit(apart[clear], stats.norm.ppf(share[clear]), 1)
    measured = (stats.norm.ppf(0.8) - start) / slope
    assert len(clear) >= 5
    assert np.mean(foretold) == pytest.approx(measured, rel=0.1)


@pytest.mark.study
def test_one_half_foretells_what_the_other_finds() -> None:
    """By the true differences, and by those of all classes: the share to within a few per cent."""
    random = np.random.default_rng(4)
    by_truth, by_all = [], []
    for _ in range(25):
        true = random.normal(0, 0.15, 8)
        noise = Variances(0.0008, 0.041, 0.029)
        scores = noise.draw(true, 3, 20, 1, random)[..., 0]
        for said, known in ((by_truth, true), (by_all, None)):
            checked = held_out(scores, known)
            assert checked and (checked.pairs, checked.classes) == (28, 10)
            said.append((checked.foretold, checked.found))
    for said, tolerance in ((by_truth, 0.04), (by_all, 0.03)):
        foretold, found = np.mean(said, axis=0)
        assert 0.2 < found < 0.6
        assert foretold == pytest.approx(found, abs=tolerance)
    assert held_out(np.zeros((3, 2, 3))) is None


def test_a_half_that_is_noisier_is_not_foretold() -> None:
    """Components of one half that are not those of the other are found out: here a tenth."""
    random = np.random.default_rng(5)
    true = random.normal(0, 0.15, 8)
    quiet, loud = Variances(0, 0.004, 0.003), Variances(0, 0.04, 0.03)
    halves = [noise.draw(true, 3, 10, 1, random)[..., 0] for noise in (quiet, loud)]
    first, second = np.triu_indices(8, 1)
    mean, stderr, df, _ = pair_estimates(halves[1], first, second)
    found = np.mean(two_sided(mean, stderr, df) <= 0.05)
    said = share_found(
        true[first] - true[second], mean_of(halves[0][None]).at_least_0(), 3, 10,
        configurations=8,
    ).mean()  # fmt: skip
    assert said > found + 0.15


@pytest.mark.study
def test_intervals_hold_what_other_classes_say() -> None:
    """Of an order, of a component, of a smallest difference: in 88 to 100 of 100 draws of classes;
    half as wide they would not."""
    random, noise, classes = np.random.default_rng(6), Variances(0, 0.5, 0.3, 0.8, 0.6), 24
    values, errors = [], []
    for _ in range(60):
        study = sampled(noise.draw(TRUE, 1, classes, 4, random))

        def statistic(kept: np.ndarray, study=study) -> np.ndarray:
            there = study.among(kept)
            parts = by_images(there)
            assert parts
            tau = kendall(means(there.of_images[1]), means(there.whole)).mean()
            found = smallest_difference(parts.at(8), 1, classes, configurations=len(TRUE))
            return np.array([tau, parts.whole.of_classes, found])

        value, stderr = jackknife(statistic, classes)
        values.append(value)
        errors.append(stderr)
    off = np.abs(np.array(values) - np.mean(values, axis=0))
    half = stats.t.ppf(0.975, classes - 1) * np.array(errors)
    assert ((off <= half).mean(axis=0) >= 0.88).all()
    assert ((off <= half / 2).mean(axis=0) <= 0.88).all()
