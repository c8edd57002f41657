"""The regression of scores on factors, against naive loops."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis import importance, regression
from tests.analysis.conftest import joined


def test_each_configuration_is_left_out_whole(
    checkpoints: pd.DataFrame, factors: pd.DataFrame
) -> None:
    """As a naive loop does it."""
    rows, features = joined(checkpoints, factors.head(regression.GROUPS)), ["algorithm", "epoch"]
    predicted = pd.Series(np.nan, index=rows.index)
    for name in rows["configuration"].unique():
        unseen = rows["configuration"] == name
        model = regression.fit(rows[~unseen], features)
        predicted[unseen] = model.predict(regression.pool(rows[unseen], features))
    expected = regression.r2(rows["score"], predicted.to_numpy())
    assert regression.cross_validated(rows, features)[0] == expected


def test_of_many_configurations_several_are_left_out_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A mean stands in for the model: who is left out together is foretold as one."""

    class Mean:
        def fit(self, seen: Any) -> "Mean":
            fitted.append(seen.num_row())
            return self

        def predict(self, unseen: Any) -> np.ndarray:
            foretold.append(unseen.num_row())
            return np.full(unseen.num_row(), float(len(fitted)))

    fitted: list[int] = []
    foretold: list[int] = []
    monkeypatch.setattr(regression, "regressor", Mean)
    rows = pd.DataFrame({
        "series": [f"c{k}" for k in range(23) for _ in range(2)], "algorithm": "x",
        "epoch": [1, 2] * 23, "score": np.random.default_rng(1).random(46),
    })  # fmt: skip
    regression.cross_validated(rows, ["algorithm", "epoch"])
    assert sorted(foretold) == [4] * 7 + [6] * 3
    assert [a + b for a, b in zip(fitted, foretold, strict=True)] == [46] * 10


def test_rows_of_which_only_the_left_out_vary_are_foretold_as_the_rest() -> None:
    rows = pd.DataFrame({
        "series": ["a", "a", "b", "b", "c"], "algorithm": ["x", "x", "y", "y", "z"],
        "epoch": [1, 2, 1, 2, 1], "score": [0.0, 1.0, 0.5, 0.5, 0.5],
    })  # fmt: skip
    fitted = regression.cross_validated(rows, ["algorithm", "epoch"])[0]
    # `a` is foretold as 0.5; `b` and `c` by models that have seen `a`
    others = [
        regression.fit(rows[rows["series"] != name], ["algorithm", "epoch"]).predict(
            regression.pool(rows[rows["series"] == name], ["algorithm", "epoch"])
        )
        for name in "bc"
    ]
    predicted = np.concatenate([[0.5, 0.5], *others])
    assert fitted == pytest.approx(regression.r2(rows["score"], predicted))


def test_seeds_do_not_change_what_is_explained(
    checkpoints: pd.DataFrame, factors: pd.DataFrame
) -> None:
    """Categories are split by values, not along a random order of rows (decision 0015)."""
    rows = joined(checkpoints, factors)
    features = importance.varying(rows)
    settings = regression.regressor().get_params()
    one, other = (
        regression.CatBoostRegressor(**settings | {"random_seed": seed})
        .fit(regression.pool(rows, features))
        .get_feature_importance(regression.pool(rows, features), type="ShapValues")
        for seed in (123, 7)
    )
    assert np.corrcoef(one[:, :-1].ravel(), other[:, :-1].ravel())[0, 1] > 0.99


def test_the_range_of_r2_is_that_of_a_naive_resampling(checkpoints: pd.DataFrame) -> None:
    rows = checkpoints.head(40).reset_index(drop=True)
    truth, codes = rows["score"], pd.factorize(rows["configuration"])[0]
    predicted = truth.to_numpy() + np.random.default_rng(1).normal(0, 0.1, len(rows))
    k = codes.max() + 1
    weights = np.random.default_rng(0).multinomial(k, [1 / k] * k, size=regression.DRAWS)
    naive = []
    for counts in weights[:50]:
        drawn = np.concatenate(
            [np.tile(np.flatnonzero(codes == c), n) for c, n in enumerate(counts)]
        )
        naive.append(regression.r2(truth[drawn], predicted[drawn]))
    fast = regression._resampled_r2(truth, predicted, codes)
    np.testing.assert_allclose(fast[:50], naive, rtol=1e-9)


def test_r2_is_its_equation() -> None:
    assert regression.r2(pd.Series([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 2.0])) == 0.5
