"""Do two criteria order the configurations alike, or against each other?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEAST = 4  # configurations: of three no interval is short of -1 to 1


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rho; low to high holds that of all such configurations 95 times in 100."""

    mean: float
    low: float
    high: float


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> RankCorrelation | None:
    """Of the scores of the same configurations by two criteria.

    The interval is that of Fisher's z with the variance (1 + rho²/2) / (K - 3) (Bonett and Wright
    2000); an order that agrees in all counts as half a step short of it, as chance can give it.
    None: fewer than four configurations, or one criterion has equal scores alone."""
    if len(first) < LEAST or min(np.ptp(first), np.ptp(second)) == 0:
        return None
    rho = float(stats.spearmanr(first, second).statistic)
    most = 1 - 6 / (len(first) ** 3 - len(first))
    z = np.arctanh(np.clip(rho, -most, most))
    half = stats.norm.ppf(0.975) * np.sqrt((1 + rho**2 / 2) / (len(first) - 3))
    return RankCorrelation(rho, float(np.tanh(z - half)), float(np.tanh(z + half)))
