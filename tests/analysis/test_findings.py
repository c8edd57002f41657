"""Which is best, and whether it can be told: on tables where the answer is known."""

import json

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis.bootstrap import resolved
from lycoris_bench.analysis.columns import OVERALL
from lycoris_bench.analysis.findings import findings
from lycoris_bench.analysis.ranks import rank_scores, scored
from tests.analysis.conftest import Rows, row

CLASSES = ("bunny", "panda", "lobster", "tortoise", "bear", "duck")


def two(table: Rows, a: list[float], b: list[float], *more: dict[str, object]) -> pd.DataFrame:
    """Configurations a and b on six classes, and a third one below both."""
    rows = [row(v, "a", class_name=c) for c, v in zip(CLASSES, a, strict=True)]
    rows += [row(v, "b", class_name=c) for c, v in zip(CLASSES, b, strict=True)]
    rows += [row(-1.0, "c", class_name=c) for c in CLASSES]
    return table([*rows, *more])


def test_a_clear_winner_is_no_tie(table: Rows) -> None:
    made = findings(two(table, [0.9] * 6, [0.5] * 6))["categories"]["toys"]["fidelity"]
    assert (made["best"], made["tie"], made["tied_with"]) == ("a", False, [])
    assert [r["configuration"] for r in made["ranking"]] == ["a", "b", "c"]
    assert made["ranking"][0] == {
        "configuration": "a", "score": 1.0, "n": 6, "stderr": 0.0, "value": pytest.approx(0.9),
    }  # fmt: skip


def test_winning_four_classes_of_six_is_a_tie(table: Rows) -> None:
    metrics = two(table, [0.9] * 4 + [0.5] * 2, [0.5] * 4 + [0.9] * 2)
    made = findings(metrics)
    found = made["categories"]["toys"]["fidelity"]
    assert (found["best"], found["tie"], found["tied_with"]) == ("a", True, ["b"])
    assert made["sentences"][0].startswith("a leads in fidelity")
    assert "the difference to b is inside the noise" in made["sentences"][0]


def test_too_few_cells_are_a_tie_and_said_so(table: Rows) -> None:
    metrics = two(table, [0.9] * 6, [0.5] * 6)
    made = findings(metrics[metrics["class"].isin(CLASSES[:3])])
    found = made["categories"]["toys"]["fidelity"]
    assert found["tie"] and found["cells"] == 3
    assert any("With only 3 pairs of seed and class" in line for line in made["sentences"])


def test_the_bootstrap_agrees_with_all_its_resamplings() -> None:
    """For 5 cells all 5^5 resamplings can be counted."""
    difference = pd.Series([0.3, 0.2, 0.25, -0.1, 0.15])
    index = np.indices((5,) * 5).reshape(5, -1)
    exact = np.quantile(difference.to_numpy()[index].mean(axis=0), 0.025)
    assert (exact > 0) == resolved(difference, 0 * difference) == True  # noqa: E712
    weaker = difference - 0.09
    exact = np.quantile(weaker.to_numpy()[index].mean(axis=0), 0.025)
    assert (exact > 0) == resolved(weaker, 0 * weaker) == False  # noqa: E712


def test_pairing_takes_out_what_makes_a_class_hard() -> None:
    hard = pd.Series([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert resolved(hard + 0.02, hard) is True
    assert (
        resolved(hard.sample(frac=1, random_state=1).reset_index(drop=True) + 0.02, hard) is False
    )


def test_only_cells_that_both_have_are_compared() -> None:
    a = pd.Series([1.0] * 6, index=list("abcdef"))
    assert resolved(a, pd.Series([0.0] * 4, index=list("abcd"))) is None


def test_lower_is_better_for_a_distance(table: Rows) -> None:
    about = {"metric": "style_loss", "prompt_type": "style", "better": "lower", "fingerprint": "s"}
    rows = [row(v, c, **about) for v, c in ((5.0, "a"), (1.0, "b"), (3.0, "c"))]
    made = findings(table([*rows, row(0.0, "base", **about)]))
    found = made["categories"]["toys"]["preservation"]
    assert [r["configuration"] for r in found["ranking"]] == ["b", "c", "a"]
    assert found["base"] == {"value": 0.0, "position": 1.0} and "real" not in found


def test_distance_closed_is_the_share_from_floor_to_ceiling(table: Rows) -> None:
    outside = [row(0.2, "base", class_name=c) for c in CLASSES]
    outside += [row(0.7, "real", class_name=c) for c in CLASSES]
    made = findings(two(table, [0.6] * 6, [0.8] * 6, *outside))
    closed = made["categories"]["toys"]["fidelity"]["distance_closed"]
    assert closed["a"]["share"] == pytest.approx(0.8)
    assert closed["b"]["share"] == pytest.approx(1.2)
    assert closed["c"]["share"] == pytest.approx(-2.4)
    assert any(line.startswith("b lies above the ceiling") for line in made["sentences"])


def test_distance_closed_needs_base_and_real_of_the_same_concept(table: Rows) -> None:
    outside = [row(0.2, "base", class_name=c) for c in CLASSES] + [row(0.7, "real")]
    metrics = two(table, [0.6] + [0.0] * 5, [0.1] * 6, *outside)
    closed = findings(metrics)["categories"]["toys"]["fidelity"]["distance_closed"]
    assert closed["a"] == {"share": pytest.approx(0.8), "n": 1}


def test_a_ceiling_below_the_floor_closes_nothing(table: Rows) -> None:
    outside = [row(v, c) for v, c in ((0.7, "base"), (0.2, "real"))]
    made = findings(two(table, [0.9] * 6, [0.5] * 6, *outside))
    assert made["categories"]["toys"]["fidelity"]["distance_closed"] == {}


def test_the_last_epoch_is_what_is_judged(table: Rows) -> None:
    rows = [
        row(v, c, epoch=e) for v, c, e in ((9, "a", 10), (1, "a", 50), (5, "b", 10), (7, "b", 50))
    ]
    made = findings(table(rows))
    assert made["epoch"] == 50
    assert made["categories"]["toys"]["fidelity"]["best"] == "b"


def test_a_whole_study_is_plain_data_and_has_no_total(study: pd.DataFrame) -> None:
    made = findings(study)
    text = json.dumps(made, allow_nan=False)
    assert json.loads(text) == made
    assert list(made["categories"]) == [OVERALL, "toys", "styles", "characters"]
    assert "preservation" not in made["categories"]["styles"]
    assert "total" not in text
    assert findings(study) == made
    best = made["categories"][OVERALL]["fidelity"]["best"]
    assert any(f"{best}, the most faithful, is" in line for line in made["sentences"])


def test_one_checkpoint_has_a_value_and_no_rank(table: Rows) -> None:
    made = findings(table([row(1.0, "a"), row(0.2, "base")]))
    found = made["categories"]["toys"]["fidelity"]
    assert found["ranking"] == [{"configuration": "a", "value": 1.0}] and "best" not in found
    assert found["against_base"] == {"a": {"value": 1.0, "base": 0.2, "worse": False}}
    assert made["sentences"][-1] == (
        "No criterion has two checkpoints to compare: nothing can be ranked."
    )


def test_a_tie_with_any_is_a_tie(table: Rows) -> None:
    """The third has too few cells in common with the first to be told from it."""
    metrics = two(table, [0.9] * 6, [0.5] * 6)
    few = metrics[(metrics["configuration"] != "c") | metrics["class"].isin(CLASSES[:3])]
    found = findings(few)["categories"]["toys"]["fidelity"]
    assert (found["best"], found["tie"], found["tied_with"]) == ("a", True, ["c"])
    assert "cells" not in found


def test_scores_are_the_ranked_ones(study: pd.DataFrame) -> None:
    """What findings rank is what ranks.py ranks; a group of one has a row without score."""
    pd.testing.assert_frame_equal(scored(study).dropna(subset="score"), rank_scores(study))
    alone = study[study["configuration"] == "lora"].drop_duplicates(["metric", "class"])
    assert scored(alone)["score"].isna().all() and len(scored(alone)) > 3
