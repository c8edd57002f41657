"""Means and standard errors against tables added up by hand."""

import math
from collections.abc import Callable

import pandas as pd
import pytest

from lycoris_bench.analysis.aggregation import (
    by_checkpoint,
    by_configuration,
    references,
    units,
)
from lycoris_bench.analysis.coded import coded
from lycoris_bench.analysis.columns import OVERALL
from lycoris_bench.analysis.ranks import positions, rank_scores
from tests.analysis.conftest import Rows, row


@pytest.fixture
def scores(table: Rows) -> pd.DataFrame:
    """Two seeds; `hero` has two sub-classes, `bunny` and `panda` none."""
    cells = {
        (23, "people", "hero", "hat"): 0.2,
        (23, "people", "hero", "coat"): 0.4,
        (24, "people", "hero", "hat"): 0.5,
        (24, "people", "hero", "coat"): 0.7,
        (23, "toys", "bunny", ""): 0.1,
        (23, "toys", "panda", ""): 0.9,
        (24, "toys", "bunny", ""): 0.3,
        (24, "toys", "panda", ""): 0.7,
    }
    rows = [
        row(10 * score, seed=seed, category=category, class_name=name, subclass=sub)
        for (seed, category, name, sub), score in cells.items()
    ]
    return table(rows).assign(score=list(cells.values()))


def of(frame: pd.DataFrame, **where: object) -> pd.Series:
    for name, value in where.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def test_subclasses_then_classes_for_each_checkpoint(scores: pd.DataFrame) -> None:
    made = by_checkpoint(scores)
    hero = of(made, seed=23, category="people")
    assert (hero["score"], hero["value"], hero["n"]) == (pytest.approx(0.3), pytest.approx(3), 1)
    assert math.isnan(hero["score_stderr"])
    toys = of(made, seed=24, category="toys")
    # sd of (0.3, 0.7) with n - 1 is 0.2 sqrt 2; over sqrt 2 that is 0.2
    assert (toys["score"], toys["score_stderr"], toys["n"]) == (0.5, pytest.approx(0.2), 2)
    assert of(made, seed=23, category=OVERALL)["score"] == pytest.approx((0.3 + 0.1 + 0.9) / 3)


def test_seeds_are_averaged_and_stderr_runs_over_seeds_and_classes(scores: pd.DataFrame) -> None:
    made = by_configuration(scores)
    toys = of(made, category="toys")
    cells = [0.1, 0.9, 0.3, 0.7]
    spread = math.sqrt(sum((c - 0.5) ** 2 for c in cells) / 3) / math.sqrt(4)
    assert (toys["score"], toys["n"]) == (pytest.approx(0.5), 4)
    assert toys["score_naive_stderr"] == pytest.approx(spread)
    assert toys["value_naive_stderr"] == pytest.approx(10 * spread)
    # Seeds have equal means: A = 0. Classes have .2 and .8: B = 2 (.18). All residuals are .1: E =
    # .04. The variance of the mean is max(A + B - E, A, B, E) / 4 = .36 / 4.
    assert toys["score_stderr"] == pytest.approx(0.3)
    assert toys["value_stderr"] == pytest.approx(3)
    people = of(made, category="people")  # 0.3 and 0.6, not four sub-classes
    assert (people["score"], people["n"]) == (pytest.approx(0.45), 2)
    assert people["score_stderr"] == pytest.approx(0.15)
    assert of(made, category=OVERALL)["n"] == 6


def drawn(scores: pd.DataFrame, prompts: Callable[[str, str], str]) -> pd.DataFrame:
    """Each class drawn with the prompts that `prompts(category, class)` names."""
    names = zip(scores["category"], scores["class"], strict=True)
    return scores.assign(
        protocol=[f'{{"prompts": "{prompts(*name)}", "seed": 1}}' for name in names]
    )


def test_images_that_are_the_same_for_all_classes_count_once(scores: pd.DataFrame) -> None:
    """Toys share their prompts, so their images are the same: one unit, however many classes."""
    made = by_configuration(drawn(scores, lambda category, _: category))
    toys = of(made, category="toys")
    assert (toys["score"], toys["n"]) == (pytest.approx(0.5), 2)
    assert toys["score_stderr"] == 0  # of both seeds' .5
    everything = of(made, category=OVERALL)  # people .3 and .6, toys .5 and .5
    assert (everything["score"], everything["n"]) == (pytest.approx(0.475), 4)
    apart = by_configuration(drawn(scores, lambda _, name: name))
    pd.testing.assert_frame_equal(apart, by_configuration(scores))


@pytest.mark.parametrize("said", ['{"steps": 12}', '{"prompts": "p", "drawn": "elsewhere"}', "?"])
def test_images_of_which_it_is_not_known_are_each_their_own(
    scores: pd.DataFrame, said: str
) -> None:
    made = by_configuration(scores.assign(protocol=said))
    pd.testing.assert_frame_equal(made, by_configuration(scores))


def test_prompts_of_no_class_at_all_are_one_unit_of_all_categories(scores: pd.DataFrame) -> None:
    """But each category has it."""
    made = by_configuration(drawn(scores, lambda *_: "the same"))
    assert of(made, category=OVERALL)["n"] == 2  # two seeds
    assert of(made, category=OVERALL)["score"] == pytest.approx((0.3 + 0.1 + 0.9 + 0.6 + 1.0) / 6)
    assert of(made, category="people")["score"] == pytest.approx(0.45)


def test_prompts_of_one_kind_leave_other_kinds_alone(scores: pd.DataFrame) -> None:
    asked = drawn(scores, lambda _, name: name)
    unasked = drawn(scores, lambda category, _: category).assign(prompt_type="agnostic")
    both = units(pd.concat([asked, unasked]))
    per_kind = both[both["category"] == "toys"].groupby("prompt_type")["unit"].nunique()
    assert per_kind.to_dict() == {"trigger": 2, "agnostic": 1}
    as_agnostic = units(pd.concat([asked, unasked]), drawn_as="agnostic")
    per_kind = as_agnostic[as_agnostic["category"] == "toys"].groupby("prompt_type")["unit"]
    assert per_kind.nunique().to_dict() == {"trigger": 1, "agnostic": 1}
    assert of(as_agnostic, category="toys", prompt_type="trigger", seed=23)["score"] == 0.5


def test_codes_count_once_too(scores: pd.DataFrame) -> None:
    shared = drawn(scores, lambda category, _: category)
    pd.testing.assert_frame_equal(
        by_configuration(coded(shared)), by_configuration(shared), check_dtype=False
    )


def test_epochs_and_prompt_types_stay_apart(scores: pd.DataFrame) -> None:
    later = scores.assign(epoch=50, score=1.0)
    made = by_configuration(pd.concat([scores, later, scores.assign(prompt_type="alter")]))
    assert of(made, category="toys", epoch=50)["score"] == 1
    assert len(made) == 3 * 3


def test_a_missing_class_is_left_out(scores: pd.DataFrame) -> None:
    made = by_configuration(scores[scores["class"] != "panda"])
    assert of(made, category="toys")["score"] == pytest.approx((0.1 + 0.3) / 2)


def test_references_are_aggregated_like_checkpoints(table: Rows) -> None:
    rows = [row(v, f"c{v}", class_name=c) for v in (1.0, 2.0) for c in ("bunny", "panda")]
    base = [row(0.0, "base"), row(1.5, "base", class_name="panda")]
    made = of(references(positions(table([*rows, *base]))), category="toys")
    assert (made["value"], made["position"]) == (0.75, (0 + 0.5) / 2)


def test_a_number_of_the_whole_checkpoint_stands_over_all_categories_alone(table: Rows) -> None:
    """Frechet distance: no category, class or sub-class; ranked among checkpoints as any other."""
    about = {"metric": "frechet_distance", "better": "lower", "category": "", "class_name": ""}
    ranked = rank_scores(table([row(9.0, "c1", **about), row(7.0, "c2", **about)]))
    assert dict(zip(ranked["configuration"], ranked["score"], strict=True)) == {"c1": 0, "c2": 1}
    made = by_configuration(ranked)
    assert made["category"].tolist() == [OVERALL, OVERALL] and (made["n"] == 1).all()
    both = by_configuration(rank_scores(table([
        row(v, name, **extra)
        for extra in (about, {})
        for v, name in ((9.0, "c1"), (7.0, "c2"))
    ])))  # fmt: skip
    assert set(both["category"]) == {OVERALL, "toys"}
    assert len(both[both["metric"] == "frechet_distance"]) == 2
