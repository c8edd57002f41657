"""How far a number could be off if other classes had been drawn."""

from collections.abc import Callable

import numpy as np

Array = np.ndarray
DRAWS = 40  # choices of the classes that are left out
LEFT_OUT = 4  # one class in so many
SEED = 0


def jackknife(statistic: Callable[[Array], Array], classes: int) -> tuple[Array, Array]:
    """The numbers that `statistic` makes of classes (their indices), and their standard errors.

    stderr² = (C - d) / d var(theta without d classes), over random choices of d = C / 4 (Shao and
    Wu 1989): left out one by one, as is usual for smooth numbers, classes make the error of a rank
    correlation twice too large. Seeds and configurations are those that there are: how far others
    would be is not in it."""
    random, kept = np.random.default_rng(SEED), np.arange(classes)
    out = max(1, classes // LEFT_OUT)
    without = np.array(
        [statistic(np.sort(random.permutation(kept)[out:])) for _ in range(DRAWS)], dtype="float64"
    )
    spread = (classes - out) / out * without.var(axis=0, ddof=1)
    return np.asarray(statistic(kept)), np.sqrt(spread)
