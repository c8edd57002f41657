"""What the paper says of its numbers, on its numbers, by this project's analysis."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis import importance, run_tables
from lycoris_bench.analysis.aggregation import by_checkpoint
from lycoris_bench.analysis.coded import coded, texts
from lycoris_bench.analysis.columns import GROUP
from lycoris_bench.analysis.comparable import comparable
from lycoris_bench.analysis.correlation import correlations
from lycoris_bench.analysis.ranks import rank_scores
from lycoris_bench.analysis.series import split_by_strength
from lycoris_bench.study import load as studies


@pytest.fixture(scope="module")
def scores(captions: pd.DataFrame) -> pd.DataFrame:
    known = run_tables.factors(studies.load("package:configs/captions.toml").configurations)
    rows, aside = comparable(coded(captions), known)
    assert [(one["metric"], one["prompt_type"]) for one in aside] == [("text_similarity", "train")]
    assert len(rows) == len(captions) - 72 * 39
    return texts(rank_scores(rows))


@pytest.mark.study
def test_scores_equal_a_naive_implementation(scores: pd.DataFrame) -> None:
    """Wins and half the draws against the 71 others, for one group in thirty."""
    groups = scores.groupby(GROUP, sort=False).indices
    assert len(groups) == 65 * 39 + 32
    lower = ("centroid_distance", "style_loss")
    for places in list(groups.values())[::30]:
        part = scores.iloc[places]
        values = part["value"].to_numpy() * (-1 if part["metric"].iloc[0] in lower else 1)
        wins = (values[:, None] > values).sum(axis=1)
        draws = (values[:, None] == values).sum(axis=1) - 1
        np.testing.assert_allclose(part["score"], (wins + draws / 2) / 71)


def test_every_group_of_ranks_ends_at_0_and_1(scores: pd.DataFrame) -> None:
    """But where the first or last place is shared, as ties share the mean rank."""
    ends = scores.groupby(GROUP, sort=False)["score"].agg(["min", "max", "mean"])
    values = scores.groupby(GROUP, sort=False)["value"]
    untied = (values.transform("nunique") == values.transform("size")).groupby(
        [scores[name] for name in GROUP], sort=False
    ).first()  # fmt: skip
    assert untied.mean() > 0.9
    assert (ends["min"][untied] == 0).all() and (ends["max"][untied] == 1).all()
    np.testing.assert_allclose(ends["mean"], 0.5)


@pytest.fixture(scope="module")
def pairs(scores: pd.DataFrame) -> pd.DataFrame:
    made = correlations(scores)
    first, second = (
        made[[f"{name}_{side}" for name in ("metric", "encoder", "resize", "prompt_type")]]
        for side in "ab"
    )
    return made[[tuple(a) < tuple(b) for a, b in zip(first.values, second.values, strict=True)]]


def alike(pairs: pd.DataFrame, *names: str) -> pd.Series:
    """Where both views of a pair have the same of each name."""
    return pd.concat([pairs[f"{n}_a"] == pairs[f"{n}_b"] for n in names], axis=1).all(axis=1)


def test_resizings_agree_almost_entirely(pairs: pd.DataFrame) -> None:
    """E: 0.95 to 1 between resizings of one encoder, for both measures of fidelity."""
    part = pairs[alike(pairs, "metric", "encoder", "prompt_type")]
    assert set(part["metric_a"]) == {"image_similarity", "centroid_distance"}
    assert len(part) == 2 * 3 * 3 * 3
    similar = part[part["metric_a"] == "image_similarity"]
    assert similar["r"].between(0.95, 1).all()
    assert part["r"].between(0.9, 1).all()


def test_encoders_agree_less(pairs: pd.DataFrame) -> None:
    """E: 0.65 to 0.9 between encoders. This table is that of the caption study, where the range
    holds on train and trigger prompts; on alter prompts they agree more."""
    part = pairs[alike(pairs, "metric", "prompt_type") & ~alike(pairs, "encoder")]
    part = part[part["metric_a"] == "image_similarity"]
    assert len(part) == 3 * 3 * 3 * 3
    alter = part["prompt_type_a"] == "alter"
    assert part[~alter]["r"].between(0.65, 0.9).all()
    assert part[alter]["r"].between(0.9, 0.95).all()


def test_prompt_types_agree_least(pairs: pd.DataFrame) -> None:
    """E: often below 0.5. Here it is so of text similarity and of most of Vendi's and of the
    centroid distance's pairs, but of none of image similarity's."""
    part = pairs[alike(pairs, "metric", "encoder", "resize") & ~alike(pairs, "prompt_type")]
    assert len(part) == 27 + 27 + 9 + 1
    below = (part["r"] < 0.5).groupby(part["metric_a"]).mean()
    assert below["text_similarity"] == 1 and below["image_similarity"] == 0
    assert 0.3 < below["vendi"] < 0.7 and 0.3 < below["centroid_distance"] < 0.7


PRINTED = {  # D.6: training R2 of image similarity (alter, trigger, train), text similarity
    "movie characters": (0.82, 0.88, 0.78, 0.85),
    "scenes": (0.84, 0.74, 0.74, 0.92),
}


@pytest.mark.study
def test_r2_is_near_the_printed_one_where_the_data_allow(
    imported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published means lack native fine-tuning (135 of the 207 rows) and are ranked by
    category, where the paper ranks by class: R2 is the printed one but for train prompts."""
    rows = pd.read_parquet(imported / "main-means/metrics.parquet")
    rows = rows[
        rows["category"].isin(PRINTED)
        & rows["encoder"].isin(["dinov2-l", "clip-l-datacomp"])
        & rows["metric"].isin(["image_similarity", "text_similarity"])
    ]
    known = run_tables.factors(studies.load("package:configs/paper.toml").configurations)
    known = known[known["configuration"].isin(rows["configuration"])]
    rows, known = split_by_strength(rows, known)
    monkeypatch.setattr(importance, "cross_validated", lambda *_: (np.nan,) * 3)  # not in the paper
    explained, refused = importance.explain(by_checkpoint(rank_scores(rows)), known)
    absent = "loha with rate level 1, lokr with rate level 1, lora with rate level 3"
    assert {refusal["sentence"] for refusal in refused} == {
        f"No checkpoint was trained as {absent}: effects there are a guess."
    }
    views = ["category", "metric", "prompt_type"]
    assert (explained.drop_duplicates([*views, "configuration", "seed", "epoch"])
            .groupby(views).size() == 135).all()  # fmt: skip
    r2 = explained.groupby(views)["r2"].first()
    for category, (alter, trigger, train, text) in PRINTED.items():
        assert r2[category, "image_similarity", "alter"] == pytest.approx(alter, abs=0.07)
        assert r2[category, "text_similarity", "alter"] == pytest.approx(text, abs=0.07)
        assert r2[category, "image_similarity", "trigger"] == pytest.approx(trigger, abs=0.07)
        assert r2[category, "image_similarity", "train"] == pytest.approx(train, abs=0.14)
