"""Could the labels have been dealt at random? The range of means, over shuffles within classes."""

from functools import lru_cache

import numpy as np

DRAWS = 1999  # with the labels as they are, 2000
SEED = 0


def range_test(blocks: np.ndarray, winner: int) -> np.ndarray:
    """How often means of shuffled labels lie as far apart as those of the winner and another do:
    p-values [configurations], of all pairs of the winner together.

    blocks: [configurations, blocks], nan where one is missing; compared are those that all have. A
    block is a class, with the mean over seeds as its value: a class's columns of seeds are kept
    together. If configurations are equal and no training noise is shared by classes, their values
    in a class can be exchanged, and the test of any number of them is exact whatever the
    distribution of the scores. Noise that a checkpoint carries from class to class is not seen:
    that is why the error over seeds and classes has to agree.

    Against the range of all, the worst configuration would hide how the best differ. So the m best
    are shuffled among themselves, for each m, and the m-th differs from the winner only if the m
    best, the m + 1 best, ... all differ among themselves, each at 1 - (1 - alpha)^(m / K) (Ryan,
    Einot, Gabriel, Welsch). With no more than one block, all p-values are 1."""
    shared = blocks[:, ~np.isnan(blocks).any(axis=0)]
    count, classes = shared.shape
    p = np.ones(count)
    if classes < 2:
        return p
    means = shared.mean(axis=1)
    order = np.argsort(np.where(np.arange(count) == winner, -np.inf, -means), kind="stable")
    for size in range(2, count + 1):
        best = order[:size]
        exact = _share_as_far(shared[best], np.ptp(means[best]))
        p[best[-1]] = 1 - (1 - exact) ** (count / size) if size < count - 1 else exact
    p[order[1:]] = np.maximum.accumulate(p[order[1:]][::-1])[::-1]
    return p


def least_p(configurations: int, blocks: int) -> float:
    """The smallest p-value that shuffles allow: the winner is best in every block and another
    worst, which any two of the labels may be.

    >>> [round(least_p(2, blocks), 3) for blocks in (5, 6)]
    [0.062, 0.031]
    """
    pairs = configurations * (configurations - 1)
    return max(float(pairs) ** (1 - blocks), 1 / (1 + DRAWS)) if blocks > 1 else 1.0


def _share_as_far(blocks: np.ndarray, apart: float) -> float:
    """The share of shuffles whose means have a range of `apart` or more; sums in another order
    differ in the last digits."""
    shuffled = np.take(blocks.T, shuffles(*blocks.shape)).mean(axis=1)
    ranges = shuffled.max(axis=1) - shuffled.min(axis=1)
    return float((1 + (ranges >= apart - 1e-9).sum()) / (1 + DRAWS))


@lru_cache(maxsize=64)
def shuffles(configurations: int, blocks: int) -> np.ndarray:
    """Indices into flat [blocks, configurations], the same in every call: draws x blocks x
    configurations."""
    random = np.random.default_rng(SEED)
    order = random.random((DRAWS, blocks, configurations), dtype="float32").argsort(axis=-1)
    places = order + configurations * np.arange(blocks)[:, None]
    return places.astype(np.min_scalar_type(blocks * configurations))
