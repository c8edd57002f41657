"""How alike two orders are."""

from functools import lru_cache

import numpy as np
from scipy import stats

Array = np.ndarray


def kendall(first: Array, second: Array) -> Array:
    """Kendall's tau-b over the last axis of two tables [..., points]; nan where a side is all
    ties."""
    return kendall_of_signs(signs(first), signs(second))


def kendall_of_each(first: Array, second: Array) -> Array:
    """The same of each row of one table with each of another: [rows of first, rows of second]."""
    a, b = signs(first), signs(second)
    return _ratio(a @ b.T, np.outer(_told(a), _told(b)))


def kendall_of_signs(first: Array, second: Array) -> Array:
    """The same of tables whose `signs` are known."""
    together = np.einsum("...p,...p->...", first, second)
    return _ratio(together, _told(first) * _told(second))


def signs(table: Array) -> Array:
    """Which of each two points is higher: [..., pairs] of 1, -1 and 0 for a tie."""
    table = np.round(table, 12)  # a sum in another order is a tie
    first, second = _pairs(table.shape[-1])
    exact = "float32" if len(first) < 2**24 else "float64"  # in which sums of signs are
    return np.sign(table[..., first] - table[..., second]).astype(exact)


def spearman_of_ranks(first: Array, second: Array) -> Array:
    """Spearman's rho of each row of two tables of `centred_ranks`: [rows]; nan where a side is all
    ties."""
    return _ratio((first * second).sum(axis=1), (first**2).sum(axis=1) * (second**2).sum(axis=1))


def centred_ranks(table: Array) -> Array:
    """The rank of each point in its row, less the mean rank: [rows, points]."""
    ranks: Array = stats.rankdata(table, axis=1)
    return ranks - ranks.mean(axis=1, keepdims=True)


def positions(means: Array) -> Array:
    """Where each point stands among all, of each row [rows, points]: 0 the lowest, 1 the highest,
    ties their mean."""
    ranks: Array = stats.rankdata(means, axis=1)
    return (ranks - 1) / max(1, means.shape[1] - 1)


def _ratio(together: Array, squared: Array) -> Array:
    """together / sqrt(squared), nan where that is 0."""
    lengths = np.sqrt(squared)
    none = np.full(np.shape(together), np.nan)
    ratio: Array = np.divide(together, lengths, out=none, where=lengths > 0)
    return ratio


def _told(signs: Array) -> Array:
    """How many pairs are no ties."""
    return np.count_nonzero(signs, axis=-1)


@lru_cache(maxsize=64)
def _pairs(points: int) -> tuple[Array, Array]:
    return np.triu_indices(points, 1)
