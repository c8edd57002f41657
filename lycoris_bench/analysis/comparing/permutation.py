"""Could the labels have been dealt at random? The range of means, over shuffles within classes."""

from functools import lru_cache

import numpy as np

DRAWS = 1999  # with the labels as they are, 2000
SEED = 0


def range_test(blocks: np.ndarray) -> np.ndarray:
    """How often means of shuffled labels lie as far apart as those of two configurations do:
    p-values [configurations, configurations].

    blocks: [configurations, blocks], nan where one is missing. The labels of each block are
    shuffled on their own, and the largest difference of any two means is held against each pair, so
    that it does not matter which pair is looked at, nor that the winner is (max statistic; Westfall
    & Young 1993). A pair is judged by the blocks that both have, among all that have them.

    A block is a class, with the mean over seeds as its value: a class's columns of seeds are kept
    together. If all configurations are equal and no training noise is shared by classes, their
    values in a class can be exchanged, and the test is exact whatever the distribution of the
    scores. Noise that a checkpoint carries from class to class is not seen: that is why the error
    over seeds and classes has to agree. With no more than one block, all p-values are 1."""
    there = ~np.isnan(blocks)
    first, second = np.triu_indices(len(blocks), 1)
    patterns, kinds = np.unique(there[first] & there[second], axis=0, return_inverse=True)
    p = np.ones((len(blocks), len(blocks)))
    for kind, pattern in enumerate(patterns):
        members = np.flatnonzero(there[:, pattern].all(axis=1))
        among = np.ones_like(p)
        among[np.ix_(members, members)] = _of_complete(blocks[np.ix_(members, pattern)])
        pairs = kinds.ravel() == kind
        i, j = first[pairs], second[pairs]
        p[i, j] = p[j, i] = among[i, j]
    return p


def _of_complete(blocks: np.ndarray) -> np.ndarray:
    configurations, count = blocks.shape
    if count < 2:
        return np.ones((configurations, configurations))
    means = blocks.mean(axis=1)
    shuffled = np.take(blocks.T, shuffles(configurations, count)).mean(axis=1)
    ranges = np.sort(shuffled.max(axis=1) - shuffled.min(axis=1))
    least = np.abs(means[:, None] - means) - 1e-9  # sums in another order differ in the last digits
    return (1 + DRAWS - np.searchsorted(ranges, least)) / (1 + DRAWS)


@lru_cache(maxsize=64)
def shuffles(configurations: int, blocks: int) -> np.ndarray:
    """Indices into flat [blocks, configurations], the same in every call: draws x blocks x
    configurations."""
    random = np.random.default_rng(SEED)
    order = random.random((DRAWS, blocks, configurations), dtype="float32").argsort(axis=-1)
    return (order + configurations * np.arange(blocks)[:, None]).astype("int32")
