"""Checkpoints at several strengths, and adapters from elsewhere: names, seeds and epochs."""

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis.aggregation import by_checkpoint
from lycoris_bench.analysis.claims.grid import grids
from lycoris_bench.analysis.correlation import correlations
from lycoris_bench.analysis.findings.findings import findings
from lycoris_bench.analysis.pipeline import analyze_tables
from lycoris_bench.analysis.ranks import rank_scores
from tests.analysis.conftest import Rows, row

CLASSES = ("bunny", "panda", "bear", "fox", "owl")
CONTROL = {"prompt_type": "alter", "metric": "text_similarity"}


def mixed(table: Rows) -> pd.DataFrame:
    """`lora` of two epochs and two strengths, and `file`, which has neither seed nor epoch."""
    made = []
    for k, name in enumerate(CLASSES):
        for view in ({}, CONTROL):
            about = {"class_name": name, "fingerprint": f"{name}{view}", **view}
            for epoch, strength, value in ((10, 1.0, 0.2), (50, 1.0, 0.5), (50, 0.5, 0.4)):
                changes = {**about, "epoch": epoch, "strength": strength}
                made.append(row(value + k / 100, "lora", **changes))
            made.append(row(0.8 + k / 100, "file", algorithm="combined", seed=None, epoch=None,
                            **about))  # fmt: skip
    return table(made).drop(columns="series")


FACTORS = pd.DataFrame({
    "configuration": ["lora", "file"], "algorithm": ["lora", "combined"], "preset": ["full", ""],
    "lr": [1e-3, None], "lr_level": 1, "capacity": 1, "importance": [True, False],
})  # fmt: skip


@pytest.mark.usefixtures("undrawn")
def test_a_file_has_no_epoch_and_is_compared_with_the_last(table: Rows) -> None:
    made = analyze_tables(mixed(table), FACTORS)
    assert made.findings["epoch"] == 50
    ranked = made.findings["categories"]["toys"]["fidelity"]["ranking"]
    order = [(one["configuration"], one["score"]) for one in ranked]
    assert order == [("file", 1.0), ("lora", 2 / 3), ("lora ×0.5", 1 / 3)]
    for stored in (made.scores, made.aggregate, made.checkpoints):
        assert "series" not in stored and set(stored["configuration"]) == {"lora", "file"}
        assert stored[stored["configuration"] == "file"]["epoch"].isna().all()
        assert not stored[stored["configuration"] == "lora"]["epoch"].isna().any()
    assert "lora ×0.5" in made.html and "NA&gt;" not in made.html


def test_what_lacks_a_seed_takes_part(table: Rows) -> None:
    """In correlations every checkpoint is a sample; in the grid no seed is a row."""
    scores = rank_scores(mixed(table))
    assert set(correlations(scores)["n"]) == {4 * len(CLASSES)}
    assert len(by_checkpoint(scores)) == 2 * 2 * 4  # categories, views, checkpoints
    seen = grids(scores)
    cells = seen.values["text_similarity", "alter"][list(seen.series).index("file")]
    assert cells.shape == (2, 3, len(CLASSES))  # seeds and epochs, and none of each
    assert (~np.isnan(cells)).sum() == len(CLASSES)
    np.testing.assert_allclose(cells[1, 2], [0.8 + k / 100 for k in range(len(CLASSES))])


def test_numbers_that_stand_for_nothing_are_numbers(table: Rows) -> None:
    """A table from elsewhere may call a seed -1: it is one seed more, and no absent one."""
    rows = [row(0.1 * k, name, seed=-1, class_name=c)
            for name in ("a", "b") for k, c in enumerate(CLASSES)]  # fmt: skip
    assert list(rank_scores(table(rows))["seed"].unique()) == [-1]
    assert findings(table(rows))["epoch"] == 10
