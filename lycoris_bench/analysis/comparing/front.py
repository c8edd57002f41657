"""Who is on the Pareto front of criteria that conflict? Asked of resampled seeds and classes."""

from collections.abc import Sequence

import numpy as np

from lycoris_bench.analysis.comparing.pairs import mean_of

DRAWS = 2000
SEED = 0


def on_front(criteria: Sequence[np.ndarray]) -> np.ndarray:
    """The share of resamplings in which no other configuration is at least as good by every
    criterion and better by one: [configurations]. nan: without a score by one of them.

    criteria: scores [configurations, seeds, classes] of each, over the same axes, nan where one is
    missing, larger is better."""
    means = np.stack([resampled_means(scores) for scores in criteria], axis=-1)
    ranked = ~np.isnan(means).any(axis=(0, 2))
    there = means[:, ranked]
    share = np.full(len(ranked), np.nan)
    for place, name in enumerate(np.flatnonzero(ranked)):
        ahead = there - there[:, place, None]
        dominated = (ahead >= 0).all(axis=-1) & (ahead > 0).any(axis=-1)
        share[name] = 1 - dominated.any(axis=1).mean()
    return share


def resampled_means(scores: np.ndarray) -> np.ndarray:
    """Means as other seeds and classes might have given them: draws x configurations; nan of a
    single seed and class, of which nothing says how far others would be.

    To the mean are added the deviations of the means of seeds and of classes, each times a number
    of Student's t with as many degrees of freedom: it is the same for all configurations and
    criteria, so that what they share stays shared. With one seed there is no training noise in
    it."""
    mean = mean_of(scores.reshape(len(scores), -1))
    random = np.random.default_rng(SEED)
    parts: list[np.ndarray] = []
    for across in (scores, np.swapaxes(scores, 1, 2)):
        lines = mean_of(across)  # the mean of each seed, then of each class
        count = lines.shape[1]
        if count < 2:
            continue
        drawn = random.standard_normal((DRAWS, count))
        drawn /= np.sqrt(random.chisquare(count - 1, (DRAWS, 1)) / (count - 1))
        apart = np.nan_to_num(lines - mean_of(lines)[:, None])
        n = (~np.isnan(lines)).sum(axis=1)
        parts.append(drawn @ (apart / np.sqrt(np.maximum(n * (n - 1), 1))[:, None]).T)
    return mean + sum(parts) if parts else np.full((DRAWS, len(scores)), np.nan)
