"""Many tests at once: each p-value raised to what it is worth among the others."""

import numpy as np
from scipy import stats


def holm(p: np.ndarray) -> np.ndarray:
    """P-values of which those <= alpha hold together: one false one or more in alpha of all
    families (Holm 1979). nan, which is no test, stays so and does not count.

    >>> holm(np.array([0.01, 0.04, np.nan, 0.03])).tolist()
    [0.03, 0.06, nan, 0.06]
    """
    asked = np.flatnonzero(~np.isnan(p))
    order = asked[np.argsort(p[asked], kind="stable")]
    adjusted = np.array(p, dtype="float64")
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """P-values of which those <= alpha hold, but for alpha of them (Benjamini & Hochberg 1995).
    nan stays.

    >>> benjamini_hochberg(np.array([0.01, np.nan, 0.04])).tolist()
    [0.02, nan, 0.04]
    """
    adjusted = np.array(p, dtype="float64")
    asked = ~np.isnan(adjusted)
    if asked.any():
        adjusted[asked] = stats.false_discovery_control(adjusted[asked])
    return adjusted
