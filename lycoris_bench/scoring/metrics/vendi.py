"""How many different images a set effectively has."""

from typing import Any

import numpy as np

from lycoris_bench.scoring.metrics.arrays import over_groups, unit
from lycoris_bench.scoring.metrics.base import Array, metric


@metric(better="higher", encoder="image", equal_n=True)
def vendi(generated: Any, groups: Any) -> float:
    """Vendi score of each group, averaged over the groups (paper, appendix D.4).

        VS = exp( - sum_i lambda_i log lambda_i ),    lambda = eigenvalues of K / n,
        K_ij = <z^_i, z^_j>

    generated [n, d], groups [n] of integers -> one number from 1 (all alike) to the group's
    size (all orthogonal). The score grows with the number of images: only sets of equal n in
    equal groups compare, and n is part of a score's fingerprint for that reason.

    Source: Friedman and Dieng, The Vendi Score, TMLR 2023.
    """
    return over_groups(unit(generated, "generated"), groups, effective_number)


def effective_number(features: Array) -> Array:
    """Vendi scores of s sets of n unit vectors, [s, n, d] -> [s], in one batch.

    By the n x n kernel where n is at most d and not its d x d dual, which has the same eigenvalues
    but for zeros: 100 images of width 1024 are about a thousandth of the work. Rounding leaves
    eigenvalues of zero slightly below it; they add nothing.
    """
    images, width = features.shape[1:]
    dual = features.transpose(0, 2, 1)
    kernel = (features @ dual if images <= width else dual @ features) / images
    share = np.linalg.eigvalsh(kernel)
    positive = share > 0
    logarithm = np.log(share, where=positive, out=np.zeros_like(share))
    number: Array = np.exp(-(share * logarithm).sum(axis=1))
    return number
