"""Is a difference real? Paired bootstrap over the cells (seed x class) that two sides share."""

import numpy as np
import pandas as pd

MIN_CELLS = 5  # with fewer, resampling shows less than the true noise
DRAWS = 2000
SEED = 0


def resolved(first: pd.Series, second: pd.Series) -> bool | None:
    """Whether mean(first - second) is above 0 in all but 2.5 % of resamplings.

    Series over the same kind of index, seed x class; only cells that both have are compared, so
    that what makes a class hard or a seed lucky cancels. None: too few cells to say.

    >>> a = pd.Series([0.9, 0.8, 0.9, 0.7, 0.8, 0.9])
    >>> resolved(a, a - 0.1), resolved(a, a.to_numpy()[::-1] + 0 * a), resolved(a[:2], a[:2] - 1)
    (True, False, None)
    """
    difference = shared(first, second)
    if len(difference) < MIN_CELLS:
        return None
    drawn = np.random.default_rng(SEED).integers(len(difference), size=(DRAWS, len(difference)))
    return bool(np.quantile(difference[drawn].mean(axis=1), 0.025) > 0)


def shared(first: pd.Series, second: pd.Series) -> np.ndarray:
    """first - second in the cells that both have; of class means where they share no seed."""
    difference = (first - second).dropna().to_numpy()
    if not len(difference) and first.index.nlevels > 1:  # one of them was trained with no seed
        first, second = (side.groupby(level="unit").mean() for side in (first, second))
        difference = (first - second).dropna().to_numpy()
    return difference
