"""Who differs from the winner? The range test again, of ever fewer of the best."""

import numpy as np

from lycoris_bench.analysis.comparing.permutation import DRAWS, shuffles


def step_down(blocks: np.ndarray, winner: int) -> np.ndarray:
    """p-values of the winner against each, of blocks [configurations, blocks], nan where one is
    missing; over those that all have.

    The range test of all labels asks the more of each pair, the worse the worst configuration is.
    So the m best are shuffled among themselves, for each m; the m-th differs from the winner only
    if the m best, m + 1 best, ... all differ among themselves, at the levels of Ryan, Einot,
    Gabriel and Welsch (1 - (1 - alpha)^(m / K)), so that all pairs together keep alpha. With fewer
    than two blocks all are 1."""
    shared = blocks[:, ~np.isnan(blocks).any(axis=0)]
    count, classes = shared.shape
    p = np.ones(count)
    if classes < 2:
        return p
    means = shared.mean(axis=1)
    means[winner] = max(means)  # the first of equals, too
    order = np.argsort(np.where(np.arange(count) == winner, -np.inf, -means), kind="stable")
    for size in range(2, count + 1):
        best = order[:size]
        shuffled = np.take(shared[best].T, shuffles(size, classes)).mean(axis=1)
        ranges = shuffled.max(axis=1) - shuffled.min(axis=1)
        apart = np.ptp(means[best]) - 1e-9  # sums in another order differ in the last digits
        as_far = int((ranges >= apart).sum())
        exact = (1 + as_far) / (1 + DRAWS)
        p[best[-1]] = 1 - (1 - exact) ** (count / size) if size < count - 1 else exact
    p[order[1:]] = np.maximum.accumulate(p[order[1:]][::-1])[::-1]
    return p
