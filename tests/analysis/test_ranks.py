"""Rank normalisation against scipy's ranks and against counting by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from lycoris_bench.analysis.columns import GROUP
from lycoris_bench.analysis.ranks import positions, rank_scores
from tests.analysis.conftest import Rows, row


def naive(values: list[float], better: str) -> list[float]:
    """Each against each other: a win is 1, a draw half; divided by the number of others."""
    sign = 1 if better == "higher" else -1
    return [
        sum((sign * a > sign * b) + 0.5 * (a == b) for j, b in enumerate(values) if j != i)
        / (len(values) - 1)
        for i, a in enumerate(values)
    ]


@pytest.mark.parametrize("better", ["higher", "lower"])
@pytest.mark.parametrize("values", [[3.0, 1.0, 2.0], [1.0, 1.0, 2.0, 2.0, 5.0], [0.0, 0.0]])
def test_scores_equal_scipy_and_a_count_of_wins(
    table: Rows, values: list[float], better: str
) -> None:
    rows = [row(v, f"lora-{i}", better=better) for i, v in enumerate(values)]
    scores = rank_scores(table(rows))["score"].tolist()
    signed = np.array(values) if better == "higher" else -np.array(values)
    assert scores == pytest.approx((rankdata(signed) - 1) / (len(values) - 1))
    assert scores == pytest.approx(naive(values, better))


def test_every_group_of_a_study_equals_scipy(study: pd.DataFrame) -> None:
    scores = rank_scores(study)
    assert len(scores) == (study["algorithm"].isin(["lora", "loha", "full"])).sum()
    for _, part in scores.groupby(GROUP):
        sign = 1 if part["better"].iloc[0] == "higher" else -1
        expected = (rankdata(sign * part["value"]) - 1) / (len(part) - 1)
        np.testing.assert_allclose(part["score"], expected)
        assert (part["score"].min(), part["score"].max()) == (0, 1)


def test_a_stored_zero_is_a_value_and_a_missing_one_is_left_out(table: Rows) -> None:
    made = rank_scores(table([row(0.0, "a"), row(2.0, "b"), row(float("nan"), "c")]))
    assert dict(zip(made["configuration"], made["score"], strict=True)) == {"a": 0, "b": 1}


def test_a_group_of_one_has_no_rank(table: Rows) -> None:
    alone = row(1.0, "a", prompt_type="alter")
    made = rank_scores(table([row(1.0, "a"), row(2.0, "b"), alone]))
    assert set(made["prompt_type"]) == {"trigger"}


def test_base_and_real_are_placed_but_not_ranked(table: Rows) -> None:
    rows = [row(v, f"lora-{v}") for v in (1.0, 2.0, 3.0, 4.0)]
    made = table([*rows, row(2.0, "base"), row(9.0, "real", n=2, fingerprint="half")])
    assert set(rank_scores(made)["configuration"]) == {f"lora-{v}" for v in (1.0, 2.0, 3.0, 4.0)}
    placed = positions(made).set_index("configuration")["position"]
    assert placed.to_dict() == {"base": (1 + 0.5) / 4, "real": 1.0}


def test_unlike_concepts_may_have_unlike_fingerprints(table: Rows) -> None:
    rows = [row(v, c) for v, c in ((1.0, "a"), (2.0, "b"))]
    rows += [row(v, c, class_name="panda", fingerprint="f1") for v, c in ((1.0, "a"), (2.0, "b"))]
    assert len(rank_scores(table(rows))) == 4


def test_a_configuration_that_always_wins_does_not_reach_1(table: Rows) -> None:
    """Its other seeds are ranked too (docs/analysis.md): (3 + 4 + 5) / 5 / 3 of three."""
    rows = [row(v + s / 100, c, seed=s) for v, c in ((1.0, "a"), (2.0, "b")) for s in (1, 2, 3)]
    means = rank_scores(table(rows)).groupby("configuration")["score"].mean()
    assert means.to_dict() == pytest.approx({"a": 0.2, "b": 0.8})


def test_two_values_of_one_checkpoint_are_refused(table: Rows) -> None:
    with pytest.raises(ValueError, match="a/seed-23/epoch-010 has two values"):
        rank_scores(table([row(1.0, "a"), row(2.0, "a")]))


def test_an_infinite_value_or_a_missing_column_is_an_error(table: Rows) -> None:
    with pytest.raises(ValueError, match="1 infinite value"):
        rank_scores(table([row(1.0, "a"), row(float("inf"), "b")]))
    with pytest.raises(ValueError, match="lacks the columns: better, n"):
        rank_scores(table([row(1.0)]).drop(columns=["better", "n"]))
