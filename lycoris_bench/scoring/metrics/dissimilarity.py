"""How unlike each other the images of a set are, on average."""

from typing import Any

import numpy as np

from lycoris_bench.scoring.metrics.arrays import over_groups, unit
from lycoris_bench.scoring.metrics.base import Array, metric


@metric(better="higher", encoder="image", equal_n=True)
def dissimilarity(generated: Any, groups: Any) -> float:
    """1 - mean cosine of all pairs of a group, averaged over the groups (paper, appendix H.1).

        1 - 1/n^2 sum_ij <z^_i, z^_j> = 1 - | mean z^ |^2 = Var z^

    generated [n, d], groups [n] of integers -> one number in [0, 1]. All n^2 pairs count, each
    image with itself among them, as in the study's published numbers (they shrink by 1/n in
    samples of n): only sets of equal n in equal groups compare.
    """
    return over_groups(unit(generated, "generated"), groups, unlikeness)


def unlikeness(features: Array) -> Array:
    """1 - | mean |^2 of s sets of n unit vectors, [s, n, d] -> [s]."""
    unlike: Array = 1 - np.square(features.mean(axis=1)).sum(axis=1)
    return unlike
