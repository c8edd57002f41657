"""How many different images a set effectively has."""

from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

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

    Source: Friedman and Dieng, The Vendi Score, TMLR 2023; computed by their package, vendi-score.
    """
    return over_groups(unit(generated, "generated"), groups, effective_number)


def effective_number(features: Array) -> Array:
    """Vendi scores of s sets of n unit vectors each, [s, n, d] -> [s]."""
    from vendi_score.vendi import score_dual  # imports scikit-learn, which takes about a second

    with _blas().limit(limits=1):
        return np.array([score_dual(_smaller(z), normalize=False) for z in features])


def _smaller(z: Array) -> Array:
    """The features [n, d] as `score_dual` takes them: it decomposes X^T X / rows(X).

    X = z gives the d x d dual of K / n, X = z^T sqrt(d / n) gives K / n itself. The two have the
    same eigenvalues but for zeros, so the smaller one is taken: for 100 images of width 1024 it
    is about a thousandth of the work. The package's `score_K` would take K directly, but it looks
    up a name that SciPy deprecates: each call warns, and SciPy 2 has no such name.
    """
    n, d = z.shape
    return z if d < n else z.T * np.sqrt(d / n)


@cache
def _blas() -> ThreadpoolController:
    """The linear algebra of NumPy and SciPy, to be held to one thread.

    Matrices this small keep several threads waiting for each other: a set then takes ten times as
    long. Made once, after vendi-score has loaded SciPy's, as it looks through all loaded libraries.
    """
    return ThreadpoolController().select(user_api="blas")
