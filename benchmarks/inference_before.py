"""The rules of comparing in whose place `analysis/compare.py` and `analysis/claims` are, to be
measured against (`python -m benchmarks.inference`)."""

from functools import lru_cache

import numpy as np
from scipy import stats

DRAWS = 2000
MIN_CLUSTERS = 3
SMALL = 0.1


def resolved(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether mean(first - second) is above 0 in all but 2.5 % of resamplings of the cells."""
    difference = (first - second).ravel()
    drawn = np.random.default_rng(0).integers(len(difference), size=(DRAWS, len(difference)))
    return bool(np.quantile(difference[drawn].mean(axis=1), 0.025) > 0)


def effect(cells: np.ndarray) -> tuple[float, float]:
    """Where the mean of cells [seeds, classes] lies in 95 % of resamplings of both.

    Widened by sqrt(k / (k - 1)) t(k - 1) / z, k the larger of the two numbers."""
    low, high = np.quantile(resampled(cells), [0.025, 0.975])
    k, mean = max(cells.shape), cells.mean()
    wider = np.sqrt(k / (k - 1)) * stats.t.ppf(0.975, k - 1) / stats.norm.ppf(0.975)
    return float(mean + (low - mean) * wider), float(mean + (high - mean) * wider)


def resampled(cells: np.ndarray) -> np.ndarray:
    """The mean of each of 2000 resamplings."""
    seeds, classes = drawn(*cells.shape)
    return ((seeds @ cells) * classes).sum(axis=1) / cells.size


@lru_cache(maxsize=64)
def drawn(seeds: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each seed and each class is drawn."""
    random = np.random.default_rng(0)
    of_seeds, of_classes = (
        random.multinomial(n, [1 / n] * n, size=DRAWS).astype("float64") for n in (seeds, classes)
    )
    return of_seeds, of_classes


def claims_change(cells: np.ndarray, expected: str) -> bool:
    """Whether the interval gives a verdict that says that the setting does something."""
    if max(cells.shape) < MIN_CLUSTERS:
        return False
    low, high = effect(cells)
    bound = SMALL if expected == "little" else 0.0
    return low > bound or high < -bound


def orders(members: np.ndarray) -> bool:
    """Whether an order is said to hold, or not to: 95 % of Kendall's taus of resampled means of
    members [members, seeds, classes], the one that is said to be best first, are on one side of
    0."""
    low, high = np.quantile(tau([resampled(cells) for cells in members]), [0.025, 0.975])
    return bool(low > 0 or high < 0)


def tau(means: list[np.ndarray]) -> np.ndarray:
    """Pairs in the stated order less the others, over the number of pairs; per draw."""
    signs = [np.sign(means[j] - means[i]) for i in range(len(means)) for j in range(i)]
    return np.asarray(np.mean(signs, axis=0))
