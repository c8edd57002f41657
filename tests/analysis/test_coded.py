"""Codes in place of texts change nothing but memory and time."""

import pandas as pd

from lycoris_bench.analysis.aggregation import by_checkpoint, by_configuration, references
from lycoris_bench.analysis.coded import coded, is_coded, texts
from lycoris_bench.analysis.columns import main_views
from lycoris_bench.analysis.correlation import correlations
from lycoris_bench.analysis.ranks import positions, rank_scores
from lycoris_bench.analysis.series import split_by_strength


def test_texts_come_back(study: pd.DataFrame) -> None:
    assert {name for name in study if is_coded(coded(study)[name])} == {
        name for name in study if pd.api.types.is_string_dtype(study[name])
    }
    pd.testing.assert_frame_equal(texts(coded(study)), study)
    assert texts(study).equals(study) and coded(coded(study)).equals(coded(study))


def test_an_absent_text_stays_absent() -> None:
    frame = pd.DataFrame({"name": ["a", None, "b", "a"]}, dtype="str")
    pd.testing.assert_frame_equal(texts(coded(frame)), frame)


def test_what_is_no_text_is_no_code() -> None:
    frame = pd.DataFrame({"mixed": ["a", 1], "lists": [["a"], ["b"]], "numbers": [1.5, 2.5]})
    assert coded(frame).equals(frame)


def test_every_table_is_that_of_texts(study: pd.DataFrame, factors: pd.DataFrame) -> None:
    known = factors.drop(columns="series")
    for make in (
        rank_scores, positions, main_views,
        lambda rows: by_checkpoint(rank_scores(rows)),
        lambda rows: by_configuration(rank_scores(rows)),
        lambda rows: references(positions(rows)),
        lambda rows: correlations(rank_scores(rows)),
    ):  # fmt: skip
        slow, fast = (make(split_by_strength(rows, known)[0]) for rows in (study, coded(study)))
        pd.testing.assert_frame_equal(texts(fast), slow, check_exact=True)
