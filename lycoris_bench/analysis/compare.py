"""Which configurations differ? All pairs, with the error rate that is promised.

A t-test of each paired difference with a two-way error over seeds and classes, Holm over all
K (K - 1) / 2 pairs, as any of them could have been the winner's. A configuration is *different*
from the winner only if the range test of `permutation.py`, which trusts no distribution, agrees.

Three seeds say little of how much seeds differ (two degrees of freedom). All pairs of one study do:
the error of a pair is the larger of its own and the mean over the pairs, with the degrees of
freedom of all. In simulation (`benchmarks/inference.py`) that keeps the promise where pairs are
unequally noisy too, and finds up to twice as much as each pair's own error alone."""

from dataclasses import dataclass

import numpy as np

from lycoris_bench.analysis.comparing.many_tests import holm
from lycoris_bench.analysis.comparing.pairs import blocks_of, mean_of, pair_estimates
from lycoris_bench.analysis.comparing.permutation import range_test
from lycoris_bench.analysis.comparing.two_way import outside, two_sided

ALPHA, MARGIN = 0.05, 0.05
DIFFERENT, EQUIVALENT, UNDECIDED = "different", "equivalent", "undecided"


@dataclass(frozen=True)
class Comparison:
    """Every configuration against every other; arrays [configurations, configurations].

    difference: mean of the row less that of the column, in the cells that both have. stderr, df: of
    it; nan where they share too little. p: for all pairs together; of the winner's the larger of
    the two tests'.
    outside: the p-value, of the pair alone, of "they differ by the margin or more". seeds: that
    the two share; with one, what is said holds between these checkpoints: training noise is not
    measured, and nothing is said of the settings."""

    means: np.ndarray
    difference: np.ndarray
    stderr: np.ndarray
    df: np.ndarray
    p: np.ndarray
    outside: np.ndarray
    seeds: np.ndarray
    alpha: float = ALPHA

    @property
    def winner(self) -> int:
        """The best mean; the first of equals."""
        return int(np.nanargmax(self.means))

    @property
    def different(self) -> np.ndarray:
        """Told apart: at most alpha of studies of equal configurations have any such pair."""
        return self.p <= self.alpha

    @property
    def equivalent(self) -> np.ndarray:
        """Not told apart, and alike to within the margin: wrong for at most alpha of the pairs."""
        return ~self.different & (self.outside <= self.alpha)

    def verdict(self, first: int, second: int) -> str:
        """different, equivalent or undecided."""
        if self.different[first, second]:
            return DIFFERENT
        return EQUIVALENT if self.equivalent[first, second] else UNDECIDED

    @property
    def rank_intervals(self) -> np.ndarray:
        """[configurations, 2]: the best and the worst rank of each, 1 is best. All hold together
        in 1 - alpha of studies (Mogstad et al. 2024): only those that are told apart from it are
        surely above or below."""
        above = (self.different & (self.difference < 0)).sum(axis=1)
        below = (self.different & (self.difference > 0)).sum(axis=1)
        return np.stack([1 + above, len(self.means) - below], axis=1)


def compare(scores: np.ndarray, margin: float = MARGIN, alpha: float = ALPHA) -> Comparison:
    """All pairs of configurations by scores [configurations, seeds, classes], nan where one is
    missing. Two that share no seed are compared by their means over seeds, class by class."""
    count = len(scores)
    sides = np.triu_indices(count, 1)
    mean, stderr, df, seeds = pair_estimates(scores, *sides)
    of_t = two_sided(mean, stderr, df)
    of_t = np.nan_to_num(holm(np.where(np.isnan(stderr), np.nan, of_t)), nan=1.0)

    def square(values: np.ndarray, mirrored: int = 1, diagonal: float = np.nan) -> np.ndarray:
        full = np.full((count, count), diagonal)
        full[sides], full.T[sides] = values, mirrored * values
        return full

    means = mean_of(scores.reshape(count, -1))
    p, winner = square(of_t, diagonal=1.0), int(np.nanargmax(means))
    p[winner] = p[:, winner] = np.maximum(p[winner], range_test(blocks_of(scores), winner))
    return Comparison(
        means=means,
        difference=square(mean, mirrored=-1, diagonal=0.0),
        stderr=square(stderr),
        df=square(df),
        p=p,
        outside=square(outside(mean, stderr, df, margin), diagonal=1.0),
        seeds=square(seeds),
        alpha=alpha,
    )
