"""Which is best, and whether it can be told: on tables where the answer is known."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lycoris_bench.analysis.columns import OVERALL
from lycoris_bench.analysis.findings.findings import findings
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
    assert (made["best"], verdicts(made)) == ("a", {"b": "different", "c": "different"})
    assert [r["configuration"] for r in made["ranking"]] == ["a", "b", "c"]
    assert made["ranking"][0] == {
        "configuration": "a", "score": 1.0, "n": 6, "stderr": 0.0, "low": 1.0, "rank": [1, 1],
        "value": pytest.approx(0.9),
    }  # fmt: skip


def test_winning_four_classes_of_six_is_undecided(table: Rows) -> None:
    metrics = two(table, [0.9] * 4 + [0.5] * 2, [0.5] * 4 + [0.9] * 2)
    made = findings(metrics)
    found = made["categories"]["toys"]["fidelity"]
    assert (found["best"], verdicts(found)) == ("a", {"b": "undecided", "c": "different"})
    assert made["sentences"][0].startswith("a leads in fidelity")
    assert "b is not told from it" in made["sentences"][0]


def test_two_that_differ_by_next_to_nothing_are_equivalent(table: Rows) -> None:
    """Of 40 checkpoints they are neighbours in each class, either first."""
    rows = [row(k / 10, f"c{k}", class_name=c) for k in range(40) for c in CLASSES]
    rows += [row(9 + swap, "a", class_name=c) for c, swap in zip(CLASSES, (0, 1) * 3, strict=True)]
    rows += [row(9.5, "b", class_name=c) for c in CLASSES]
    found = findings(table(rows))["categories"]["toys"]["fidelity"]
    assert {found["best"], found["ranking"][1]["configuration"]} == {"a", "b"}
    assert found["ranking"][1]["verdict"] == "equivalent"


def verdicts(judgement: dict[str, Any]) -> dict[str, str]:
    """Of all but the winner, against it."""
    return {row["configuration"]: row["verdict"] for row in judgement["ranking"][1:]}


def test_lower_is_better_for_a_distance(table: Rows) -> None:
    about = {"metric": "style_loss", "prompt_type": "style", "better": "lower", "fingerprint": "s"}
    rows = [row(v, c, **about) for v, c in ((5.0, "a"), (1.0, "b"), (3.0, "c"))]
    made = findings(table([*rows, row(0.0, "base", **about)]))
    found = made["categories"]["toys"]["preservation"]
    assert [r["configuration"] for r in found["ranking"]] == ["b", "c", "a"]
    assert found["base"] == {"value": 0.0, "position": 1.0} and "real" not in found


def test_closer_than_the_base_model_is_asked_of_each_worse_of_all(table: Rows) -> None:
    """A t-test of the six differences gives .039; five such together .2."""
    spread = np.array([0.05, 0.1, 0.15, 0.3, 0.45, 0.75])
    for sign, verdict in ((1, "closer"), (-1, "undecided")):
        rows = [
            row(0.5 + sign * d, name, class_name=c)
            for name in "abcde"
            for c, d in zip(CLASSES, spread, strict=True)
        ]
        rows += [row(0.5, "base", class_name=c) for c in CLASSES]
        found = findings(table(rows))["categories"]["toys"]["fidelity"]["against_base"]
        assert {part["verdict"] for part in found.values()} == {verdict}
    assert stats.ttest_1samp(spread, 0).pvalue == pytest.approx(0.039, abs=0.001)


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
    toys = study[study["category"] == "toys"]
    assert findings(toys) == findings(toys)
    best = made["categories"][OVERALL]["fidelity"]["best"]
    assert any(f"{best}, which leads in fidelity, is" in line for line in made["sentences"])


def test_one_checkpoint_has_a_value_and_no_rank(table: Rows) -> None:
    made = findings(table([row(1.0, "a"), row(0.2, "base")]))
    found = made["categories"]["toys"]["fidelity"]
    assert found["ranking"] == [{"configuration": "a", "value": 1.0}] and "best" not in found
    assert found["against_base"] == {"a": {"value": 1.0, "base": 0.2, "verdict": "undecided"}}
    assert made["sentences"][-1] == (
        "No criterion has two checkpoints to compare: nothing can be ranked."
    )


def test_scores_are_the_ranked_ones(study: pd.DataFrame) -> None:
    """What findings rank is what ranks.py ranks; a group of one has a row without score."""
    pd.testing.assert_frame_equal(scored(study).dropna(subset="score"), rank_scores(study))
    alone = study[study["configuration"] == "lora"].drop_duplicates(["metric", "class"])
    assert scored(alone)["score"].isna().all() and len(scored(alone)) > 3


@pytest.mark.study
def test_what_the_paper_explains_besides_is_compared_as_the_criteria_are(
    study: pd.DataFrame,
) -> None:
    """Trigger and alter prompts exchanged: what was said of fidelity is then said of the other."""
    rows = study[study["metric"] == "image_similarity"]
    pairs = {"trigger": "alter", "alter": "trigger"}
    turned = rows.assign(prompt_type=rows["prompt_type"].map(lambda kind: pairs.get(kind, kind)))
    for category, found in findings(rows)["categories"].items():
        fidelity = findings(turned)["categories"][category]["fidelity"]
        (also,) = [one for one in found["also"] if one["prompt_type"] == "alter"]
        assert "against_base" not in also and len(also["ranking"]) > 2
        assert also["ranking"] == fidelity["ranking"] and also["best"] == fidelity["best"]
