"""What the views of the page are drawn from, against the tables of the analysis."""

import json
import re
from typing import Any

import pandas as pd
import pytest

from lycoris_bench.analysis.claims.claims import CLAIMS
from lycoris_bench.analysis.columns import SERIES, VIEW
from lycoris_bench.analysis.correlation import correlations
from lycoris_bench.analysis.pipeline import Analysis, analyze_tables
from lycoris_bench.analysis.ranks import rank_scores
from lycoris_bench.analysis.report import agreeing, made


@pytest.fixture(scope="module")
def analysis(study: pd.DataFrame, factors: pd.DataFrame, undrawn: None) -> Analysis:
    return analyze_tables(study, factors)


@pytest.fixture(scope="module")
def held(analysis: Analysis) -> dict[str, Any]:
    found = re.search(r'(?s)id="explore-data">(.*?)</script>', analysis.html)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def names_of(held: dict[str, Any]) -> list[str]:
    return [series["name"] for series in held[SERIES]]


def test_agreement_is_that_of_the_table(analysis: Analysis, held: dict[str, Any]) -> None:
    views = [tuple(view[key] for key in VIEW) for view in held["views"]]
    r = {
        (tuple(row[f"{key}_a"] for key in VIEW), tuple(row[f"{key}_b"] for key in VIEW)): row["r"]
        for row in analysis.correlation.to_dict("records")
    }
    seen = 0
    for a, row in enumerate(held["agreement"]):
        assert len(row) == len(views) - a - 1
        for b, n in enumerate(row, start=a + 1):
            assert n / 100 == pytest.approx(r[views[a], views[b]], abs=0.00501)
            seen += 1
    assert seen == len(views) * (len(views) - 1) // 2 > 10


def test_views_that_share_no_sample_do_not_agree(study: pd.DataFrame) -> None:
    apart = {"image_similarity": "toys", "text_similarity": "styles"}
    rows = study[
        [apart.get(m) == c for m, c in zip(study["metric"], study["category"], strict=True)]
    ]
    views = rows[[*VIEW, "better"]].drop_duplicates().reset_index(drop=True)
    scores = rank_scores(rows.assign(series=rows["configuration"]))
    metric = list(views["metric"])
    across = [
        n
        for a, row in enumerate(agreeing.data(correlations(scores), views))
        for b, n in enumerate(row, start=a + 1)
        if metric[a] != metric[b]
    ]
    assert across and set(across) == {None}


def test_effects_are_those_of_the_table(analysis: Analysis, held: dict[str, Any]) -> None:
    runs = held["checkpoints"]
    at = {
        (names_of(held)[series], held["epochs"][epoch], held["seeds"][seed]): run
        for run, (series, epoch, seed) in enumerate(
            zip(runs[SERIES], runs["epoch"], runs["seed"], strict=True)
        )
    }
    effects = held["effects"]
    by = {
        (held["categories"][one["category"]], one["view"], factor): column
        for one in effects["views"]
        for factor, column in one["by"]
    }
    views = [tuple(view[key] for key in VIEW) for view in held["views"]]
    # the page writes "learning rate" for lr_level; order is that of the table
    factors = list(dict.fromkeys(analysis.shap["feature"]))
    assert len(factors) == len(effects["factors"]) > 3
    for row in analysis.shap.to_dict("records"):
        run = at[row["configuration"], row["epoch"], row["seed"]]
        factor = factors.index(row["feature"])
        column = by[row["category"], views.index(tuple(row[key] for key in VIEW)), factor]
        assert column[run] == pytest.approx(1000 * row["shap"], abs=0.501)
        value = effects["of"][factor][run]
        assert effects["factors"][factor]["values"][value] == row["feature_value"]
    counts = analysis.shap.groupby(["category", *VIEW]).ngroups
    assert len(effects["views"]) == counts
    told = sum(n is not None for column in by.values() for n in column)
    assert told == len(analysis.shap)  # native fine-tuning has no capacity, and no cell


def test_what_was_not_explained_has_no_effects(study: pd.DataFrame, factors: pd.DataFrame) -> None:
    """As of adapters that others trained: one seed, no epoch, one metric on one class."""
    few = study[
        study["configuration"].isin(["lora", "loha", "base"])
        & (study["metric"] == "image_similarity")
        & (study["class"] == "bunny")
        & (study["epoch"].isna() | (study["epoch"] == 50))
        & (study["seed"].isna() | (study["seed"] == 23))
    ]
    few = few.assign(epoch=pd.NA, seed=pd.NA).astype({"epoch": "Int64", "seed": "Int64"})
    found = re.search(r'(?s)id="explore-data">(.*?)</script>', analyze_tables(few, factors).html)
    assert found
    held = json.loads(found[1])
    assert held["effects"] == {"factors": [], "of": [], "views": []}


def test_a_claim_has_the_pairs_that_it_is_judged_by(
    analysis: Analysis, held: dict[str, Any]
) -> None:
    said = {
        verdict["id"]: verdict
        for verdict in analysis.findings["claims"]["verdicts"]
        if not verdict["exploratory"] and "effect" in verdict
    }
    assert set(held["claims"]) == set(said) and len(said) > 10
    for name, verdict in said.items():
        change = [n for n in held["claims"][name]["change"] if n is not None]
        assert sum(change) / len(change) / 1000 == pytest.approx(verdict["effect"], abs=0.001)
        assert f'data-claim="{name}"' in analysis.html


@pytest.mark.parametrize(
    "name", ["rate-fidelity", "epochs-control", "overtraining", "loha-diversity"]
)
def test_a_change_is_the_difference_of_two_checkpoints(
    name: str, analysis: Analysis, held: dict[str, Any]
) -> None:
    """Written out: the mean over classes of one score less the other."""
    claim = next(claim for claim in CLAIMS if claim.id == name)
    scores = analysis.scores
    rows = scores[
        (scores["metric"] == claim.metric)
        & (scores["prompt_type"] == claim.prompt_type)
        & (scores["encoder"] != "second-eye")
        & scores["category"].map(claim.said_of)
    ]
    classes = rows.groupby(["configuration", "seed", "epoch", "category", "class"])["score"].mean()
    mean = classes.groupby(["configuration", "seed", "epoch"]).mean()
    found = held["claims"][name]
    epochs, seeds, names = held["epochs"], held["seeds"], names_of(held)
    pairs = held["contrasts"][found["contrast"]]
    assert len(pairs) == len(found["change"])
    assert found["some"] == (name == "overtraining")
    told = 0
    for (low, high, seed, epoch), change in zip(pairs, found["change"], strict=True):
        if change is None:
            assert epoch is None
            continue
        before = epochs[epoch - 1] if low == high else epochs[epoch]
        assert (low == high) == (claim.contrast == "epochs")
        expected = (
            mean[names[high], seeds[seed], epochs[epoch]] - mean[names[low], seeds[seed], before]
        )
        assert change / 1000 == pytest.approx(expected, abs=0.00051)
        told += 1
    assert told >= 4


def test_each_view_says_how_its_numbers_were_made(study: pd.DataFrame) -> None:
    marks = study["prompt_type"].map({"alter": "a1"}).fillna("b2")
    rows = study.assign(n=study["n"].where(study["prompt_type"] != "alter", 3), fingerprint=marks)
    provenance = {"encoder weights": {"eye": "eyes@1, SHA-256 00ff"}, "scored on": "cpu Abacus"}
    views = rows[VIEW].drop_duplicates().reset_index(drop=True)
    found = made.data(rows, views, provenance)
    assert found["weights"] == {"eye": "eyes@1, SHA-256 00ff"} and found["scored"] == "cpu Abacus"
    for kind, said in zip(views["prompt_type"], found["views"], strict=True):
        assert said["mark"] == ("a1" if kind == "alter" else "b2") and said["of"] == 1
        assert said["images"].startswith("3 images") == (kind == "alter")
