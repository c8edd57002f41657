"""What is ranked together has the same cells: who lacks a hard class would look better for it."""

import numpy as np
from scipy.sparse.csgraph import connected_components

LEAST = 0.75  # of the classes stay; rather than leave out more, a configuration is not ranked


def common(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Configurations, seeds and classes, as indices, between which no cell is missing.

    scores: [configurations, seeds, classes], nan where one is missing. A seed counts if more than
    half of the configurations have it, a class if the configuration has it in all such seeds.
    Beginning with who has most classes, configurations are taken in while three quarters of those
    classes are left that all have; if that takes in nobody, as long as any is left. Seeds that
    configurations share with no other are not expected of the others, nor theirs of them: such are
    compared class by class."""
    there = ~np.isnan(scores)
    if there.all():  # as of a study that is complete: each of hundreds of views asks
        configurations, seeds, classes = map(np.arange, scores.shape)
        return configurations, seeds, classes
    asked = _asked(there.any(axis=2))
    has = (there | ~asked[:, :, None]).all(axis=1) & asked.any(axis=1, keepdims=True)
    order = np.argsort(-has.sum(axis=1), kind="stable")
    for least in (max(1.0, LEAST * has[order[0]].sum()), 1.0):
        shared, kept = has[order[0]], [order[0]]
        for configuration in order[1:]:
            both = shared & has[configuration]
            if both.sum() >= least:
                shared = both
                kept.append(configuration)
        if len(kept) > 1:
            break
    rows = np.sort(kept)
    return rows, np.flatnonzero(asked[rows].any(axis=0)), np.flatnonzero(shared)


def _asked(seeds: np.ndarray) -> np.ndarray:
    """[configurations, seeds]: of which seeds a configuration needs all classes. They are those of
    most of the configurations that it is linked with by seeds, or the commonest."""
    group = np.asarray(connected_components(seeds.astype(int) @ seeds.astype(int).T)[1])
    alike = np.equal.outer(group, group)
    counts = alike.astype(int) @ seeds.astype(int)
    most = counts > alike.sum(axis=1, keepdims=True) / 2
    commonest = (counts == counts.max(axis=1, keepdims=True)) & (counts > 0)
    return np.where(most.any(axis=1, keepdims=True), most, commonest)
