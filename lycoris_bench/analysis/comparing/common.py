"""What is ranked together has the same cells: who lacks a hard class would look better for it."""

import numpy as np
from scipy.sparse.csgraph import connected_components


def common(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Configurations, seeds and classes, as indices, between which no cell is missing.

    scores: [configurations, seeds, classes], nan where one is missing. Whichever lacks the largest
    part of its cells is dropped, a class and a seed for all or a configuration from the ranking
    while more than two are left, until none does. Seeds that a configuration shares with no other
    are not expected of the others, nor theirs of it: such are compared class by class."""
    there = ~np.isnan(scores)
    expected = _expected(there)
    kept = [np.arange(n) for n in scores.shape]
    while True:
        asked = expected[np.ix_(*kept)]
        lacks = asked & ~there[np.ix_(*kept)]
        if not lacks.any():
            return kept[0], kept[1], kept[2]
        droppable = (2, 1, 0) if len(kept[0]) > 2 else (2, 1)  # at a tie a class is dropped
        shares = [_share(lacks, asked, axis) for axis in droppable]
        axis = max(range(len(shares)), key=lambda place: shares[place].max())
        kept[2 - axis] = np.delete(kept[2 - axis], shares[axis].argmax())


def _expected(there: np.ndarray) -> np.ndarray:
    """Of which cells a lack counts: those of the seeds of all configurations that are linked by
    seeds that they share."""
    seeds = there.any(axis=2)
    _, group = connected_components(seeds.astype(int) @ seeds.astype(int).T)
    of_group = (group[:, None] == group).astype(int) @ seeds.astype(int) > 0
    return np.broadcast_to(np.expand_dims(of_group, 2), there.shape)


def _share(lacks: np.ndarray, asked: np.ndarray, axis: int) -> np.ndarray:
    others = tuple(place for place in range(3) if place != axis)
    return lacks.sum(axis=others) / np.maximum(asked.sum(axis=others), 1)
