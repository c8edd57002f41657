"""Correlations against numpy, with missing cells."""

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis.correlation import correlations
from tests.analysis.conftest import Rows, row


def test_each_pair_equals_numpy_over_the_samples_both_have(table: Rows) -> None:
    rng = np.random.default_rng(3)
    rows, numbers = [], {}
    for kind in ("train", "trigger", "alter"):
        for i in range(9):
            for name in ("bunny", "panda"):
                if (kind, i) != ("alter", 4):
                    numbers[kind, i, name] = rng.random()
                    rows.append(row(0.0, f"c{i}", prompt_type=kind, class_name=name))
    made = correlations(table(rows).assign(score=list(numbers.values())))
    assert len(made) == 9
    for found in made.itertuples():
        a, b = found.prompt_type_a, found.prompt_type_b
        both = [
            (numbers[a, i, n], numbers[b, i, n])
            for i in range(9)
            for n in ("bunny", "panda")
            if (a, i, n) in numbers and (b, i, n) in numbers
        ]
        assert found.n == len(both) == (16 if "alter" in (a, b) else 18)
        assert found.r == pytest.approx(np.corrcoef(np.transpose(both))[0, 1])


def test_what_does_not_vary_has_no_correlation(table: Rows) -> None:
    rows = [row(0.0, f"c{i}", prompt_type=kind) for kind in ("train", "alter") for i in range(4)]
    made = correlations(table(rows).assign(score=[0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5]))
    assert made[["prompt_type_a", "prompt_type_b"]].to_numpy().tolist() == [["train", "train"]]


def test_encoders_are_told_apart(study: pd.DataFrame) -> None:
    made = correlations(study.assign(score=study["value"]))
    assert {"eye", "second-eye"} <= set(made["encoder_a"])
