"""The regression of a score on hyper-parameters (paper 5.3): CatBoost, and how well it foretells
configurations that it has not seen."""

import numpy as np
import pandas as pd
from catboost import CatBoostRegressor, Pool

from lycoris_bench.analysis.columns import SERIES

PRIOR = "prior_preservation"
CATEGORICAL = ["algorithm", "preset", "captions", PRIOR]
MOST_VALUES = 255  # of a category: as many as CatBoost can split by
DRAWS = 1000  # resamplings of the configurations
GROUPS = 10  # of configurations, at most, that are left out in turn


def fit(rows: pd.DataFrame, features: list[str]) -> CatBoostRegressor:
    """The regressor of a view."""
    return regressor().fit(pool(rows, features))


def regressor() -> CatBoostRegressor:
    """The authors': 300 iterations, rate 0.1, all else as CatBoost has it, but that it splits by
    the values of a category, not by mean scores along a random order of rows (decision 0015)."""
    return CatBoostRegressor(
        iterations=300, learning_rate=0.1, random_seed=123, one_hot_max_size=MOST_VALUES,
        thread_count=1, allow_writing_files=False, verbose=False,
    )  # fmt: skip


def pool(rows: pd.DataFrame, features: list[str]) -> Pool:
    """Factors and scores as CatBoost takes them: categories as text, numbers as numbers."""
    table = rows[features].copy()
    categorical = [name for name in features if name in CATEGORICAL]
    for name in features:
        table[name] = table[name].astype(str if name in categorical else "float64")
    return Pool(table, rows["score"], cat_features=categorical)


def r2(truth: pd.Series, predicted: np.ndarray) -> float:
    """1 - sum (y - p)^2 / sum (y - mean y)^2; absent (nan) where y does not vary."""
    spread = float(((truth - truth.mean()) ** 2).sum())
    return 1 - float(((truth - predicted) ** 2).sum()) / spread if spread else float("nan")


def cross_validated(rows: pd.DataFrame, features: list[str]) -> tuple[float, float, float]:
    """(R2, lower, upper) of predictions for configurations that the model has not seen.

    Each configuration is left out with all its seeds and epochs; of more than GROUPS several at a
    time, by chance, so that a large study costs as many models as a small one. The range holds 95 %
    of resamplings of the configurations."""
    codes, names = pd.factorize(rows[SERIES])
    score, all_rows = rows["score"].to_numpy(), pool(rows, features)
    predicted = np.empty(len(rows))
    groups = np.random.default_rng(0).permutation(len(names))[codes] % GROUPS
    for group in np.unique(groups):
        seen, unseen = np.flatnonzero(groups != group), np.flatnonzero(groups == group)
        if np.ptp(score[seen]) > 0:
            model = regressor().fit(all_rows.slice(seen))
            predicted[unseen] = model.predict(all_rows.slice(unseen))
        else:  # CatBoost refuses to fit a constant
            predicted[unseen] = score[seen[0]]
    low, high = np.nanquantile(_resampled_r2(rows["score"], predicted, codes), [0.025, 0.975])
    return r2(rows["score"], predicted), float(low), float(high)


def _resampled_r2(truth: pd.Series, predicted: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """R2 of each of DRAWS resamplings of the configurations; absent where no score varies."""
    k = int(codes.max()) + 1
    weights = np.random.default_rng(0).multinomial(k, [1 / k] * k, size=DRAWS)
    y = truth.to_numpy()
    sums = [np.bincount(codes, x) for x in (np.ones(len(y)), y, y**2, (y - predicted) ** 2)]
    n, total, squares, errors = (weights @ each for each in sums)
    spread = squares - total**2 / n
    return 1 - errors / np.where(spread > 1e-12, spread, np.nan)
