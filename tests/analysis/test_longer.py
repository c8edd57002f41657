"""What longer training changes: closed forms, an error rate by simulation, and what is not said."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis.longer import longer
from lycoris_bench.analysis.report.longer import shown
from tests.analysis.conftest import row

Rows = Callable[..., pd.DataFrame]
SEEDS = (23, 24, 25)
CLASSES = [f"class-{k}" for k in range(8)]


def scored(table: Rows, scores: np.ndarray, **changes: object) -> pd.DataFrame:
    """A ranked table of scores [configurations, epochs, seeds, classes] of one criterion."""
    cells = [
        (score, row(0.0, f"lora-{c}", seed=SEEDS[s], epoch=10 * (e + 1), class_name=CLASSES[k],
                    **changes))
        for (c, e, s, k), score in np.ndenumerate(scores)
        if not np.isnan(score)
    ]  # fmt: skip
    return table([one for _, one in cells]).assign(score=[score for score, _ in cells])


def of_all(found: pd.DataFrame | None) -> pd.DataFrame:
    assert found is not None
    return found[found["category"] == "all categories"].set_index(["criterion", "after"])


def test_the_change_is_the_mean_over_what_went_on(table: Rows) -> None:
    random = np.random.default_rng(0)
    noise = 0.01 * random.normal(size=(3, 3, 3, 8))
    mean = np.array([0.3, 0.6, 0.6])[:, None, None]
    control = scored(table, noise + np.array([0.7, 0.7, 0.4])[:, None, None],
                     metric="text_similarity", prompt_type="alter")  # fmt: skip
    rows = of_all(longer(pd.concat([scored(table, noise + mean), control], ignore_index=True)))
    change = (noise[:, 1] - noise[:, 0]).mean()
    first = rows.loc["fidelity", 20]
    assert first["change"] == pytest.approx(0.3 + change) and first["verdict"] == "rises"
    assert (first["configurations"], first["seeds"], first["classes"]) == (3, 3, 8)
    assert rows["verdict"].to_dict() == {
        ("fidelity", 20): "rises", ("fidelity", 30): "as before",
        ("control", 20): "as before", ("control", 30): "falls",
    }  # fmt: skip


def test_a_configuration_that_lacks_an_epoch_is_left_out_of_its_stretch(table: Rows) -> None:
    scores = 0.1 * np.random.default_rng(1).random((3, 3, 3, 8))
    scores[2, 2] = np.nan  # the third was not trained to the end, or is not scored there yet
    rows = of_all(longer(scored(table, scores)))
    assert rows["configurations"].to_dict() == {("fidelity", 20): 3, ("fidelity", 30): 2}
    expected = (scores[:2, 2] - scores[:2, 1]).mean()
    assert rows.loc["fidelity", 30]["change"] == pytest.approx(expected)


def test_one_seed_decides_nothing(table: Rows) -> None:
    scores = np.zeros((2, 2, 1, 8))
    scores[:, 1] = np.linspace(0.5, 0.6, 8)
    found = longer(scored(table, scores))
    assert set(found["verdict"]) == {"undecided"} and found["change"].iloc[0] > 0.5
    made = shown(found, ["all categories"])
    assert made["seeds"] == 1 and made["sentences"] == [
        "From epoch 10 to 20, over 2 configurations: fidelity +0.55; with one training seed none "
        "of it is decided."
    ]


def test_one_epoch_and_none_are_not_compared(table: Rows) -> None:
    one = scored(table, np.zeros((2, 1, 3, 8)))
    assert longer(one) is None
    assert longer(one.assign(epoch=pd.array([None] * len(one), dtype="Int64"))) is None
    assert longer(scored(table, np.zeros((2, 2, 3, 8)), metric="another")) is None
    assert shown(None, ["all categories"]) is None


def test_the_page_says_it_in_a_sentence_and_a_table(table: Rows) -> None:
    random = np.random.default_rng(2)
    scores = 0.01 * random.normal(size=(3, 3, 3, 8)) + np.array([0.3, 0.6, 0.5])[:, None, None]
    control = random.normal(size=scores.shape)
    frames = [scored(table, scores),
              scored(table, control, metric="text_similarity", prompt_type="alter")]  # fmt: skip
    made = shown(longer(pd.concat(frames, ignore_index=True)), ["all categories", "toys"])
    assert made["sentences"] == [
        "From epoch 10 to 20, over 3 configurations: fidelity rises (+0.30); undecided: control "
        f"({(control[:, 1] - control[:, 0]).mean():+.2f}).",
        "From epoch 20 to 30, over 3 configurations: fidelity falls (-0.10); undecided: control "
        f"({(control[:, 2] - control[:, 1]).mean():+.2f}).",
    ]
    assert [part["category"] for part in made["tables"]] == ["all categories", "toys"]
    assert made["tables"][0]["stretches"] == [(10, 20), (20, 30)]
    cells = made["tables"][0]["rows"][0]["cells"]
    assert [cell["verdict"] for cell in cells] == ["rises", "falls"]


@pytest.mark.study
@pytest.mark.parametrize("of_seeds", [0.0, 0.1])
def test_a_change_that_is_none_is_seldom_called_one(table: Rows, of_seeds: float) -> None:
    """Training noise that all classes share, and noise of classes that all seeds share, are in the
    change; its truth is 0. Both stretches are tested, so that 5 in 100 studies are to be wrong."""
    random, studies, frames = np.random.default_rng(3), 150, []
    one = scored(table, np.zeros((2, 3, 3, 8)))
    for study in range(studies):  # each a category of one table, whose tests are its own
        trainings = of_seeds * random.normal(size=(1, 3, 3, 1))
        classes = 0.1 * random.normal(size=(1, 3, 1, 8))
        scores = 0.5 + trainings + classes + 0.05 * random.normal(size=(2, 3, 3, 8))
        frames.append(one.assign(category=f"study {study}", score=scores.ravel()))
    found = longer(pd.concat(frames, ignore_index=True))
    assert found is not None
    found = found[found["category"] != "all categories"]
    said = found["verdict"].isin(["rises", "falls"]).groupby(found["category"]).any()
    assert len(said) == studies
    assert said.mean() <= 0.05 + 3 * (0.05 * 0.95 / studies) ** 0.5
