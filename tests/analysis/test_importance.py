"""SHAP values against the model's predictions and CatBoost's own; what is refused, and why."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis import importance
from lycoris_bench.analysis.aggregation import by_checkpoint
from lycoris_bench.analysis.columns import CHECKPOINT
from lycoris_bench.analysis.ranks import rank_scores
from lycoris_bench.messages.errors import BenchError


@pytest.fixture(scope="module")
def checkpoints(study: pd.DataFrame) -> pd.DataFrame:
    rows = by_checkpoint(rank_scores(study))
    view = (rows["metric"] == "image_similarity") & (rows["prompt_type"] == "trigger")
    return rows[view & (rows["category"] == "toys") & (rows["encoder"] == "eye")]


@pytest.fixture(scope="module")
def explained(checkpoints: pd.DataFrame, factors: pd.DataFrame) -> pd.DataFrame:
    frame, refused = importance.explain(checkpoints, factors)
    assert refused == []
    return frame


def joined(checkpoints: pd.DataFrame, factors: pd.DataFrame) -> pd.DataFrame:
    return checkpoints.merge(factors.drop(columns=["algorithm", "configuration"]), on="series")


def test_the_parts_and_the_base_value_sum_to_the_prediction(
    explained: pd.DataFrame, checkpoints: pd.DataFrame, factors: pd.DataFrame
) -> None:
    rows = joined(checkpoints, factors)
    features = importance.varying(rows)
    assert features == ["algorithm", "preset", "epoch", "capacity", "lr_level"]
    predicted = importance.fit(rows, features).predict(importance.pool(rows, features))
    sums = (
        explained.groupby(CHECKPOINT, sort=False)["shap"].sum()
        + explained.groupby(CHECKPOINT, sort=False)["base_value"].first()
    )
    np.testing.assert_allclose(sums.to_numpy(), predicted, atol=1e-6)
    assert explained["r2"].iloc[0] == pytest.approx(
        np.corrcoef(rows["score"], predicted)[0, 1] ** 2, abs=0.02
    )


def test_values_equal_those_of_catboost(
    explained: pd.DataFrame, checkpoints: pd.DataFrame, factors: pd.DataFrame
) -> None:
    rows = joined(checkpoints, factors)
    features = importance.varying(rows)
    model = importance.fit(rows, features)
    found = model.get_feature_importance(importance.pool(rows, features), type="ShapValues")
    expected = pd.DataFrame(found[:, :-1], columns=features, index=rows["configuration"])
    np.testing.assert_allclose(explained["base_value"], found[0, -1], rtol=1e-9)
    for feature in ("preset", "epoch", "lr_level"):
        mine = explained[explained["feature"] == feature]["shap"].to_numpy()
        np.testing.assert_allclose(mine, expected[feature].to_numpy(), atol=1e-9)
    # Native fine-tuning has its capacity's value in the algorithm's, the others keep it apart.
    native = (rows["capacity"] == importance.NATIVE).to_numpy()
    mine = explained[explained["feature"] == "algorithm"]["shap"].to_numpy()
    together = expected["algorithm"] + expected["capacity"]
    np.testing.assert_allclose(mine[native], together[native], atol=1e-9)
    np.testing.assert_allclose(mine[~native], expected["algorithm"][~native], atol=1e-9)
    capacity = explained[explained["feature"] == "capacity"]
    assert set(capacity["feature_value"]) == {"1", "2"}


def test_an_explanation_has_the_tables_values_and_the_factors(
    explained: pd.DataFrame, checkpoints: pd.DataFrame, factors: pd.DataFrame
) -> None:
    rows = joined(checkpoints, factors).reset_index(drop=True)
    features = importance.varying(rows)
    made = importance.explanation(explained)
    assert made.feature_names == features
    predicted = importance.fit(rows, features).predict(importance.pool(rows, features))
    np.testing.assert_allclose(made.values.sum(axis=1) + made.base_values, predicted, atol=1e-6)
    native = (rows["capacity"] == importance.NATIVE).to_numpy()
    assert native.any() and (made.values[native, features.index("capacity")] == 0).all()
    data = pd.DataFrame(made.data, columns=made.feature_names)
    for name in ("algorithm", "preset", "epoch", "lr_level"):
        assert list(data[name]) == list(rows[name])
    assert list(data["capacity"][~native]) == list(rows["capacity"][~native])
    assert data["capacity"][native].isna().all()


def test_an_explanation_keeps_the_order_of_stored_rows_and_seeds_that_are_absent(
    explained: pd.DataFrame,
) -> None:
    """As `shap.parquet` has adapters that were made elsewhere."""
    stored = explained.assign(seed=explained["seed"].astype("Int64").replace(23, pd.NA))
    backwards = stored.iloc[::-1]
    made, turned = importance.explanation(stored), importance.explanation(backwards)
    np.testing.assert_array_equal(made.values, importance.explanation(explained).values)
    np.testing.assert_array_equal(turned.values, made.values[::-1])


@pytest.fixture(scope="module")
def first_import() -> subprocess.CompletedProcess[str]:
    """In an interpreter of its own, as here all is imported already: what slow libraries are there
    before shap is asked for; then it is."""
    code = (
        "import sys, lycoris_bench.analysis.importance, lycoris_bench.scoring.metrics.vendi;"
        "print([m for m in ('shap', 'numba', 'sklearn', 'vendi_score') if m in sys.modules]);"
        "assert lycoris_bench.analysis.importance._shap().TreeExplainer"
    )
    warned = "error::PendingDeprecationWarning"
    return subprocess.run(
        [sys.executable, "-W", warned, "-c", code], capture_output=True, text=True
    )


def test_a_first_import_of_shap_warns_of_nothing(
    first_import: subprocess.CompletedProcess[str],
) -> None:
    assert first_import.returncode == 0, first_import.stderr


def test_shap_draws_an_explanation(explained: pd.DataFrame) -> None:
    import shap
    from matplotlib import pyplot

    pyplot.switch_backend("Agg")
    made = importance.explanation(explained)
    try:
        swarm = shap.plots.beeswarm(made, show=False)
        drawn = [text.get_text() for text in swarm.get_yticklabels()]
        assert sorted(drawn) == sorted(made.feature_names) and drawn[-1] == "epoch"
        bars = shap.plots.bar(made, show=False, ax=pyplot.figure().gca())
        lengths = sorted(bar.get_width() for bar in bars.patches)
        np.testing.assert_allclose(lengths, sorted(np.abs(made.values).mean(axis=0)))
        one = shap.plots.bar(made[0], show=False, ax=pyplot.figure().gca())
        assert "lora = algorithm" in {text.get_text() for text in one.get_yticklabels()}
    finally:
        pyplot.close("all")


def test_the_plot_of_the_docs_can_be_drawn(
    monkeypatch: pytest.MonkeyPatch, explained: pd.DataFrame
) -> None:
    from matplotlib import pyplot

    page = Path(__file__).parents[2] / "docs/analysis.md"
    block = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)[1]
    shown = []
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(pyplot.gca().get_yticklabels()))
    pyplot.switch_backend("Agg")
    try:
        exec(compile(block, str(page), "exec"), {"made": SimpleNamespace(shap=explained)})
    finally:
        pyplot.close("all")
    assert [text.get_text() for text in shown[0]][-1] == "epoch"


def test_an_explanation_is_of_one_view(explained: pd.DataFrame) -> None:
    two = pd.concat([explained, explained.assign(prompt_type="alter")])
    with pytest.raises(BenchError, match="table has 2 combinations of category, .*prompt_type"):
        importance.explanation(two)
    with pytest.raises(BenchError, match="table has 0 combinations"):
        importance.explanation(explained.head(0))


def test_slow_imports_wait_until_they_are_needed(
    first_import: subprocess.CompletedProcess[str],
) -> None:
    assert first_import.stdout.strip() == "[]"


def test_what_was_built_to_matter_matters_most(explained: pd.DataFrame) -> None:
    reach = explained["shap"].abs().groupby(explained["feature"]).mean()
    assert reach.idxmax() == "epoch"
    assert reach["preset"] < 0.2 * reach["epoch"]
    assert 0.5 < explained["r2_cv"].iloc[0] < explained["r2"].iloc[0] <= 1


def test_each_configuration_is_left_out_whole(
    checkpoints: pd.DataFrame, factors: pd.DataFrame
) -> None:
    """As a naive loop does it."""
    rows, features = joined(checkpoints, factors.head(importance.GROUPS)), ["algorithm", "epoch"]
    predicted = pd.Series(np.nan, index=rows.index)
    for name in rows["configuration"].unique():
        unseen = rows["configuration"] == name
        model = importance.fit(rows[~unseen], features)
        predicted[unseen] = model.predict(importance.pool(rows[unseen], features))
    expected = importance.r2(rows["score"], predicted.to_numpy())
    assert importance.cross_validated(rows, features)[0] == expected


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
    monkeypatch.setattr(importance, "regressor", Mean)
    rows = pd.DataFrame({
        "series": [f"c{k}" for k in range(23) for _ in range(2)], "algorithm": "x",
        "epoch": [1, 2] * 23, "score": np.random.default_rng(1).random(46),
    })  # fmt: skip
    importance.cross_validated(rows, ["algorithm", "epoch"])
    assert sorted(foretold) == [4] * 7 + [6] * 3
    assert [a + b for a, b in zip(fitted, foretold, strict=True)] == [46] * 10


def test_rows_of_which_only_the_left_out_vary_are_foretold_as_the_rest() -> None:
    rows = pd.DataFrame({
        "series": ["a", "a", "b", "b", "c"], "algorithm": ["x", "x", "y", "y", "z"],
        "epoch": [1, 2, 1, 2, 1], "score": [0.0, 1.0, 0.5, 0.5, 0.5],
    })  # fmt: skip
    fitted = importance.cross_validated(rows, ["algorithm", "epoch"])[0]
    # `a` is foretold as 0.5; `b` and `c` by models that have seen `a`
    others = [
        importance.fit(rows[rows["series"] != name], ["algorithm", "epoch"]).predict(
            importance.pool(rows[rows["series"] == name], ["algorithm", "epoch"])
        )
        for name in "bc"
    ]
    predicted = np.concatenate([[0.5, 0.5], *others])
    assert fitted == pytest.approx(importance.r2(rows["score"], predicted))


def test_seeds_do_not_change_what_is_explained(
    checkpoints: pd.DataFrame, factors: pd.DataFrame
) -> None:
    """Categories are split by values, not along a random order of rows (decision 0015)."""
    rows = joined(checkpoints, factors)
    features = importance.varying(rows)
    settings = importance.regressor().get_params()
    one, other = (
        importance.CatBoostRegressor(**settings | {"random_seed": seed})
        .fit(importance.pool(rows, features))
        .get_feature_importance(importance.pool(rows, features), type="ShapValues")
        for seed in (123, 7)
    )
    assert np.corrcoef(one[:, :-1].ravel(), other[:, :-1].ravel())[0, 1] > 0.99


def test_the_range_of_r2_is_that_of_a_naive_resampling(checkpoints: pd.DataFrame) -> None:
    rows = checkpoints.head(40).reset_index(drop=True)
    truth, codes = rows["score"], pd.factorize(rows["configuration"])[0]
    predicted = truth.to_numpy() + np.random.default_rng(1).normal(0, 0.1, len(rows))
    k = codes.max() + 1
    weights = np.random.default_rng(0).multinomial(k, [1 / k] * k, size=importance.DRAWS)
    naive = []
    for counts in weights[:50]:
        drawn = np.concatenate(
            [np.tile(np.flatnonzero(codes == c), n) for c, n in enumerate(counts)]
        )
        naive.append(importance.r2(truth[drawn], predicted[drawn]))
    fast = importance._resampled_r2(truth, predicted, codes)
    np.testing.assert_allclose(fast[:50], naive, rtol=1e-9)


def test_combinations_that_nobody_trained_are_named() -> None:
    rows = pd.DataFrame({
        "algorithm": ["lora", "lora", "loha", "loha", "full"], "capacity": [1, 2, 1, 1, 3],
        "preset": ["a", "b", "a", "b", "a"],
    })  # fmt: skip
    assert importance.never_together(rows, ["algorithm", "preset", "capacity"]) == [
        "No checkpoint was trained as full with preset b: effects there are a guess.",
        "No checkpoint was trained as loha with capacity 2: effects there are a guess.",
    ]


def test_r2_is_its_equation() -> None:
    assert importance.r2(pd.Series([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 2.0])) == 0.5


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: rows.head(19), "19 checkpoints, too few.*at least 20"),
        (lambda rows: rows.assign(score=0.5), "same score"),
        (
            lambda rows: rows.assign(algorithm="lora", preset="x", lr_level=1, capacity=1),
            "Fewer than two factors vary .*algorithm, preset, capacity, lr_level",
        ),
        (
            lambda rows: rows.assign(
                lr_level=rows["algorithm"].map({"lora": 1, "loha": 2, "full": 2})
            ),
            "factors algorithm and lr_level are confounded",
        ),
    ],
)
def test_refusals_are_sentences(
    checkpoints: pd.DataFrame, factors: pd.DataFrame, change, sentence: str
) -> None:
    rows = change(joined(checkpoints, factors))
    said = importance.refusal(rows, importance.varying(rows))
    assert said is not None and re.search(sentence, said)


def test_a_factor_that_does_not_vary_is_left_out_and_hides_nothing(
    checkpoints: pd.DataFrame, factors: pd.DataFrame
) -> None:
    rows = joined(checkpoints, factors).assign(preset="attn-mlp")
    features = importance.varying(rows)
    assert "preset" not in features and importance.refusal(rows, features) is None


def test_a_refusal_is_data_and_what_is_left_out_of_importance_is_left_out(
    checkpoints: pd.DataFrame, factors: pd.DataFrame
) -> None:
    only = factors.assign(importance=factors["algorithm"] == "full")
    frame, refused = importance.explain(checkpoints, only)
    assert frame.empty and "shap" in frame
    assert [r["sentence"] for r in refused] == [
        "There are 18 checkpoints, too few to say what moves this score: at least 20 are needed."
    ]
    assert refused[0]["category"] == "toys" and refused[0]["prompt_type"] == "trigger"


def test_explaining_leaves_no_files(
    tmp_path, monkeypatch: pytest.MonkeyPatch, checkpoints: pd.DataFrame, factors: pd.DataFrame
) -> None:
    monkeypatch.chdir(tmp_path)
    importance.fit(joined(checkpoints, factors), ["algorithm", "epoch"])
    assert list(tmp_path.iterdir()) == []


def test_threads_change_nothing(
    monkeypatch: pytest.MonkeyPatch, study: pd.DataFrame, factors: pd.DataFrame
) -> None:
    rows = by_checkpoint(rank_scores(study[study["category"] == "toys"]))
    rows = rows[rows["category"] == "toys"]
    rows = rows[rows["metric"].isin(["vendi", "text_similarity"])]
    monkeypatch.setattr(importance, "cross_validated", lambda *_: (0.5, 0.4, 0.6))
    frames = []
    for cores in (1, 3):
        monkeypatch.setattr(importance, "_cores", lambda cores=cores: cores)
        frames.append(importance.explain(rows, factors)[0])
    assert len(frames[0][["metric", "prompt_type"]].drop_duplicates()) == 2
    pd.testing.assert_frame_equal(*frames, check_exact=True)


def test_only_the_views_of_the_paper_are_explained_or_all_where_there_is_none(
    checkpoints: pd.DataFrame, factors: pd.DataFrame
) -> None:
    few = checkpoints.head(importance.MIN_ROWS - 1)  # too few rows: nothing is fitted
    other = few.assign(metric="centroid_distance", encoder="second-eye")
    again = few.assign(encoder="second-eye")

    def asked(*parts: pd.DataFrame) -> list[tuple[str, str]]:
        _, refused = importance.explain(pd.concat(parts), factors)
        return [(one["metric"], one["encoder"]) for one in refused]

    assert asked(few, again, other) == [("image_similarity", "eye")]
    assert asked(other) == [("centroid_distance", "second-eye")]
