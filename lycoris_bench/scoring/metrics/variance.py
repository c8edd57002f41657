"""How far the images of a set lie from their centre, in the encoder's own units."""

from typing import Any

import numpy as np

from lycoris_bench.scoring.metrics.arrays import as_float64, over_groups, unit
from lycoris_bench.scoring.metrics.base import Array, metric


@metric(better="higher", encoder="image", equal_n=True)
def variance(generated: Any, groups: Any) -> float:
    """Mean squared distance to the mean of a group, averaged over the groups (paper, H.1).

        Var z = 1/n sum_i | z_i - mean z |^2

    generated [n, d], not normalised here (that is `dissimilarity`), groups [n] of integers -> one
    number, the sum over the dimensions. Divided by n and not n - 1: only equal n compare.
    """
    unit(generated, "generated")  # what has no direction is no feature, here as for all metrics
    return over_groups(as_float64(generated, "generated"), groups, spread)


def spread(features: Array) -> Array:
    """Mean squared distance to the mean of s sets of n vectors, [s, n, d] -> [s]."""
    centred = features - features.mean(axis=1, keepdims=True)
    distance: Array = np.square(centred).sum(axis=2).mean(axis=1)
    return distance
