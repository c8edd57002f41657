"""How alike two orders are."""

from functools import lru_cache

import numpy as np
from scipy import stats

Array = np.ndarray


def kendall(first: Array, second: Array) -> Array:
    """Kendall's tau-b over the last axis of two tables [..., points]; nan where a side is all
    ties."""
    a, b = _signs(first), _signs(second)
    return _tau(np.einsum("...p,...p->...", a, b), _told(a) * _told(b))


def kendall_of_each(first: Array, second: Array) -> Array:
    """The same of each row of one table with each of another: [rows of first, rows of second]."""
    a, b = _signs(first), _signs(second)
    return _tau(a @ b.T, np.outer(_told(a), _told(b)))


def spearman(first: Array, second: Array) -> Array:
    """Spearman's rho of each row of two tables [rows, points] -> [rows]; nan where a side is all
    ties."""
    a, b = (_centred(stats.rankdata(side, axis=1)) for side in (first, second))
    lengths = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    together = (a * b).sum(axis=1)
    return np.divide(together, lengths, out=np.full(len(a), np.nan), where=lengths > 0)


def positions(means: Array) -> Array:
    """Where each point stands among all, of each row [rows, points]: 0 the lowest, 1 the highest,
    ties their mean."""
    ranks: Array = stats.rankdata(means, axis=1)
    return (ranks - 1) / max(1, means.shape[1] - 1)


def _tau(together: Array, told: Array) -> Array:
    pairs = np.sqrt(told)
    none = np.full(np.shape(together), np.nan)
    tau: Array = np.divide(together, pairs, out=none, where=pairs > 0)
    return tau


def _told(signs: Array) -> Array:
    """How many pairs are no ties."""
    return np.count_nonzero(signs, axis=-1)


def _signs(table: Array) -> Array:
    table = np.round(table, 12)  # a sum in another order is a tie
    first, second = _pairs(table.shape[-1])
    return np.sign(table[..., first] - table[..., second])


@lru_cache(maxsize=64)
def _pairs(points: int) -> tuple[Array, Array]:
    return np.triu_indices(points, 1)


def _centred(table: Array) -> Array:
    return table - table.mean(axis=1, keepdims=True)
