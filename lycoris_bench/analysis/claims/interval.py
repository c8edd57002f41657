"""How sure is a mean over seeds and classes? Both are resampled, whole."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import stats

DRAWS = 2000
SEED = 0
MIN_CLUSTERS = 3  # with two seeds or classes there is no telling how much a third would differ


def grid(rows: pd.DataFrame, column: str) -> np.ndarray:
    """Seeds x classes in order of appearance, each cell the mean of its rows; nan where there
    are none. Rows without a seed are one row of the grid."""
    return grids(rows, [column])[0]


def grids(rows: pd.DataFrame, columns: Sequence[str]) -> list[np.ndarray]:
    """The grid of each column."""
    seeds, units = (pd.factorize(rows[name], use_na_sentinel=False)[0] for name in ("seed", "unit"))
    means = rows[list(columns)].groupby([seeds, units]).mean()
    return [means[name].dropna().unstack().to_numpy() for name in columns]


def effect(cells: np.ndarray) -> tuple[float, float, float]:
    """(mean, lower, upper): the mean of the cells and where it lies in 95 % of resamplings.

    cells: seeds x classes. Rows and columns are drawn with replacement. Few clusters vary less
    among themselves than their population: the interval is widened by
    sqrt(k / (k - 1)) t(k - 1) / z, k the larger of the two numbers of clusters."""
    mean = float(np.nanmean(cells))
    low, high = np.quantile(resampled(cells), [0.025, 0.975])
    k = max(cells.shape)
    wider = np.sqrt(k / (k - 1)) * stats.t.ppf(0.975, k - 1) / stats.norm.ppf(0.975)
    return mean, float(mean + (low - mean) * wider), float(mean + (high - mean) * wider)


def resampled(cells: np.ndarray) -> np.ndarray:
    """The mean of each of 2000 resamplings; one that drew only empty cells is left out."""
    seeds, classes = drawn(*cells.shape)
    there = ~np.isnan(cells)
    totals = ((seeds @ np.where(there, cells, 0.0)) * classes).sum(axis=1)
    counts = ((seeds @ there.astype("float64")) * classes).sum(axis=1)
    return totals[counts > 0] / counts[counts > 0]


@lru_cache(maxsize=64)
def drawn(seeds: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each seed and each class is drawn, the same in every call: draws x seeds, draws x
    classes."""
    random = np.random.default_rng(SEED)
    by_seed, by_class = (
        random.multinomial(n, [1 / n] * n, size=DRAWS).astype("float64") for n in (seeds, classes)
    )
    return by_seed, by_class
