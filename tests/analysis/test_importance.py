"""SHAP values against the model's predictions and CatBoost's own; what is refused, and why."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis import importance, regression
from lycoris_bench.analysis.aggregation import by_checkpoint
from lycoris_bench.analysis.columns import CHECKPOINT
from lycoris_bench.analysis.ranks import rank_scores
from lycoris_bench.messages.errors import BenchError
from tests.analysis.conftest import joined


@pytest.fixture(scope="module")
def explained(checkpoints: pd.DataFrame, factors: pd.DataFrame) -> pd.DataFrame:
    frame, refused = importance.explain(checkpoints, factors)
    assert refused == []
    return frame


def test_the_parts_and_the_base_value_sum_to_the_prediction(
    explained: pd.DataFrame, checkpoints: pd.DataFrame, factors: pd.DataFrame
) -> None:
    rows = joined(checkpoints, factors)
    features = importance.varying(rows)
    assert features == ["algorithm", "preset", "epoch", "capacity", "lr_level"]
    predicted = regression.fit(rows, features).predict(regression.pool(rows, features))
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
    model = regression.fit(rows, features)
    found = model.get_feature_importance(regression.pool(rows, features), type="ShapValues")
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
    predicted = regression.fit(rows, features).predict(regression.pool(rows, features))
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


def test_combinations_that_nobody_trained_are_named() -> None:
    rows = pd.DataFrame({
        "algorithm": ["lora", "lora", "loha", "loha", "full"], "capacity": [1, 2, 1, 1, 3],
        "preset": ["a", "b", "a", "b", "a"],
    })  # fmt: skip
    assert importance.never_together(rows, ["algorithm", "preset", "capacity"]) == [
        "No checkpoint was trained as full with preset b: effects there are a guess.",
        "No checkpoint was trained as loha with capacity 2: effects there are a guess.",
    ]


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
    regression.fit(joined(checkpoints, factors), ["algorithm", "epoch"])
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
