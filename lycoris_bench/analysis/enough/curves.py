"""Rank stability and the smallest difference that is found, against images, seeds and classes.

Intervals are those of a jackknife over classes: what other classes might have said of the same
configurations and seeds. In simulation they hold the truth in 90 to 100 of 100 draws of classes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import special

from lycoris_bench.analysis.comparing.mean_squares import Components
from lycoris_bench.analysis.comparing.power import smallest_difference
from lycoris_bench.analysis.enough.components import by_images, in_scores_of, mean_of
from lycoris_bench.analysis.enough.jackknife import jackknife
from lycoris_bench.analysis.enough.sampled import Sampled
from lycoris_bench.analysis.enough.stability import kendall, means

Array = np.ndarray
DRAWS = 60  # choices of classes
SEED = 0
AHEAD = (2, 4)  # times the images that there are, foretold


@dataclass(frozen=True)
class Number:
    """A number and its 95 % interval; nan: none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """What `count` images, seeds or classes say. tau: Kendall's, of their order of the
    configurations with that of all that was drawn; tau_true: with the true one, where that is
    known; difference: of one pair that was named before, the smallest that is found 4 times in 5,
    in the scores of all images."""

    count: int
    tau: Number
    tau_true: Number
    difference: Number


def curves(scores: Sampled) -> dict[str, list[Point]]:
    """By what varies: "images", "seeds", "classes", from fewest to all that there are. After those
    come two numbers of images that are foretold, twice and four times as many, if the run has
    scores of subsets of its images; there is no order of those."""
    measured = {"images": _of_images, "seeds": _of_seeds, "classes": _of_classes}
    return {axis: _curve(scores, statistic) for axis, statistic in measured.items()}


Row = tuple[int, float, float, float]  # count, tau, tau_true, difference
Statistic = Callable[[Sampled, Array], Iterator[Row]]  # of some of the classes


def _curve(scores: Sampled, statistic: Statistic) -> list[Point]:
    def numbers(kept: Array) -> Array:
        return np.array([row[1:] for row in statistic(scores, kept)])

    counts = [row[0] for row in statistic(scores, np.arange(scores.classes))]
    values, stderr = jackknife(numbers, scores.classes)
    half = special.stdtrit(scores.classes - 1, 0.975) * stderr
    ends = np.array([-1.0, -1.0, 0.0]), np.array([1.0, 1.0, np.inf])
    low, high = np.maximum(values - half, ends[0]), np.minimum(values + half, ends[1])
    return [
        Point(count, *(Number(*each) for each in np.stack(row, axis=1).tolist()))
        for count, row in zip(counts, zip(values, low, high, strict=True), strict=True)
    ]


def _of_images(scores: Sampled, kept: Array) -> Iterator[Row]:
    there, size = scores.among(kept), (scores.seeds, scores.classes)
    for count, subsets in there.all_images.items():
        parts = in_scores_of(there.whole, subsets)
        yield count, *_taus(there, subsets), _smallest(scores, parts, *size)
    if found := by_images(there):
        for times in AHEAD:
            parts = found.at(times * scores.images)
            yield times * scores.images, np.nan, np.nan, _smallest(scores, parts, *size)


def _of_seeds(scores: Sampled, kept: Array) -> Iterator[Row]:
    """Scores are ranked among the checkpoints of these seeds alone. One of several has no smallest
    difference: by it checkpoints differ, and what is told of more is of their configurations."""
    there = scores.among(kept)
    for count, subsets in {**there.of_seeds, scores.seeds: there.whole[None]}.items():
        difference = np.nan
        if count > 1 or scores.seeds == 1:
            difference = _smallest(scores, mean_of(subsets), count, scores.classes)
        yield count, *_taus(there, subsets), difference


def _of_classes(scores: Sampled, kept: Array) -> Iterator[Row]:
    """The first of random orders of the classes; where one is left out, the next steps in. What
    classes consist of is what all of them say."""
    there, random = scores.among(kept), np.random.default_rng(SEED)
    orders = [random.permutation(scores.classes) for _ in range(DRAWS)]
    orders = [order[np.isin(order, kept)] for order in orders]
    parts, count = mean_of(there.whole[None]), 2
    while 4 * count <= 3 * scores.classes:  # as many are there where a quarter is left out
        subsets = np.stack([scores.whole[..., order[:count]] for order in orders])
        yield count, *_taus(there, subsets), _smallest(scores, parts, scores.seeds, count)
        count *= 2
    whole = there.whole[None]
    yield scores.classes, *_taus(there, whole), _smallest(scores, parts, *scores.whole.shape[1:])


def _smallest(scores: Sampled, parts: Components, seeds: int, classes: int) -> float:
    return smallest_difference(
        parts.at_least_0(), seeds, classes, configurations=scores.configurations
    )


def _taus(scores: Sampled, subsets: Array) -> tuple[float, float]:
    """With all of what was drawn, and with the truth; the mean over subsets."""
    found = means(subsets)
    true = np.nan if scores.true is None else float(np.mean(kendall(found, means(scores.true))))
    return float(np.mean(kendall(found, means(scores.whole)))), true
