"""The authors' whole table of 72 checkpoints: their names parsed, their claims checked."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis.correlation import correlations
from lycoris_bench.analysis.ranks import rank_scores

from .conftest import row

COLUMN = re.compile(r"(?P<metric>.+?)(?: \((?P<eye>[^()]+)\))?(?: \((?P<kind>in|out|trigger)\))$")
KINDS = {"in": "train", "out": "alter", "trigger": "trigger"}
METRICS = {
    "Image Similarity": "image_similarity",
    "Squared Centroid Distance": "centroid_distance",
    "Text Similarity": "text_similarity",
    "Vendi": "vendi",
}
LOWER = ("centroid_distance", "style_loss")


def column(title: str) -> dict[str, str]:
    """What a column title says: metric, encoder, resizing and prompt type."""
    if title.startswith("Style Loss"):
        return {"metric": "style_loss", "encoder": "vgg", "resize": "scale", "prompt_type": "style"}
    found = COLUMN.match(title)
    assert found, title
    eye, resize = found["eye"] or "clip", "scale"
    if (pieces := eye.rpartition("-"))[2] in ("resize", "crop", "padding"):
        eye, _, resize = pieces
    kind = KINDS[found["kind"]]
    return {
        "metric": METRICS[found["metric"]],
        "encoder": eye,
        "resize": resize,
        "prompt_type": kind,
    }


def folder(name: str) -> dict[str, object]:
    """`<...>-exp-<experiment>-<seed letter>[-<epoch>]/<category>/<class>[/<sub-class>]`."""
    head, category, class_name, *subclass = name.split("/")
    found = re.search(r"-exp-(.+)-([abc])(?:-(\d{6}))?$", head)
    assert found, head
    return {
        "configuration": found[1],
        "algorithm": found[1].split("-")[2],
        "seed": 23 + "abc".index(found[2]),
        "epoch": int(found[3] or 50),
        "category": category,
        "class": class_name,
        "subclass": "/".join(subclass),
    }


@pytest.fixture(scope="module")
def metrics(published: Path) -> pd.DataFrame:
    wide = pd.read_csv(published / "metrics" / "captions_metrics.csv", index_col=0)
    keys = pd.DataFrame([folder(name) for name in wide.index], index=wide.index)
    rest = {k: v for k, v in row(0.0).items() if k in ("study", "strength", "n", "fingerprint")}
    parts = []
    for title in wide.columns:
        about = column(title)
        better = "lower" if about["metric"] in LOWER else "higher"
        parts.append(keys.assign(**about, **rest, better=better, value=wide[title]))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def scores(metrics: pd.DataFrame) -> pd.DataFrame:
    return rank_scores(metrics)


def test_the_table_is_complete(metrics: pd.DataFrame) -> None:
    assert len(metrics[["configuration", "seed", "epoch"]].drop_duplicates()) == 72
    assert len(metrics[["category", "class", "subclass"]].drop_duplicates()) == 39
    absent = metrics[metrics["value"].isna()]
    assert set(absent["metric"]) == {"style_loss"} and set(absent["category"]) == {"style"}


def test_scores_equal_a_naive_implementation(scores: pd.DataFrame) -> None:
    """Wins and half the draws against the 71 others, for one group in thirty."""
    keys = ["metric", "encoder", "resize", "prompt_type", "category", "class", "subclass"]
    groups = scores.groupby(keys, sort=False).indices
    assert len(groups) == 66 * 39 + 32
    for places in list(groups.values())[::30]:
        part = scores.iloc[places]
        values = part["value"].to_numpy() * (-1 if part["metric"].iloc[0] in LOWER else 1)
        wins = (values[:, None] > values).sum(axis=1)
        draws = (values[:, None] == values).sum(axis=1) - 1
        np.testing.assert_allclose(part["score"], (wins + draws / 2) / 71)


@pytest.fixture(scope="module")
def similarity(scores: pd.DataFrame) -> pd.DataFrame:
    """Correlations of image similarity with itself, on the same prompts, another view."""
    made = correlations(scores[scores["metric"] == "image_similarity"])
    same = made["prompt_type_a"] == made["prompt_type_b"]
    itself = (made["encoder_a"] == made["encoder_b"]) & (made["resize_a"] == made["resize_b"])
    return made[same & ~itself]


def test_resizings_agree_almost_entirely(similarity: pd.DataFrame) -> None:
    """Paper, appendix E: 0.95 to 1 between resizings of one encoder."""
    pairs = similarity[similarity["encoder_a"] == similarity["encoder_b"]]
    assert len(pairs) == 3 * 3 * 6
    assert pairs["r"].between(0.95, 1).all()


def test_encoders_agree_less(similarity: pd.DataFrame) -> None:
    """Paper, appendix E: 0.65 to 0.9 between encoders. This table is that of the caption
    study, where the range holds on train and trigger prompts; on alter prompts they agree more."""
    pairs = similarity[similarity["encoder_a"] != similarity["encoder_b"]]
    alter = pairs["prompt_type_a"] == "alter"
    assert pairs[~alter]["r"].between(0.65, 0.9).all()
    assert pairs[alter]["r"].between(0.9, 0.95).all()
