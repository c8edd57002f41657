"""Leak as a ratio of what is added without and with the trigger: closed forms, and what is not
said."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis.columns import OVERALL, UNASKED
from lycoris_bench.analysis.findings.faults import leaked
from lycoris_bench.analysis.leak import NOT_ADDED, leaks
from tests.analysis.conftest import row

Rows = Callable[..., pd.DataFrame]
CLASSES = ("bunny", "cat", "dog", "fox", "owl")
BASE = {"alter": 0.2, "class-word": 0.3, "unrelated": 0.1}
SPREAD = np.array([-0.02, -0.01, 0.0, 0.01, 0.02])


def values(
    configuration: str, kind: str, added: np.ndarray | float, metric: str = "image_similarity"
) -> list[dict]:
    return [
        row(BASE[kind] + one, configuration, class_name=name, prompt_type=kind, metric=metric,
            better="lower" if kind in UNASKED else "higher")
        for name, one in zip(CLASSES, np.broadcast_to(added, 5), strict=True)
    ]  # fmt: skip


def base() -> list[dict]:
    return [one for kind in BASE for one in values("base", kind, 0.0)]


def of_all(found: pd.DataFrame | None, kind: str) -> pd.DataFrame:
    assert found is not None
    rows = found[(found["category"] == OVERALL) & (found["prompt_type"] == kind)]
    return rows.set_index("series")


def test_leak_is_what_is_added_unasked_over_what_is_added_asked(table: Rows) -> None:
    frame = table([
        *base(),
        *values("leaky", "alter", 0.4 + SPREAD), *values("leaky", "class-word", 0.2 + SPREAD / 2),
        *values("leaky", "unrelated", SPREAD),
    ])  # fmt: skip
    found = leaks(frame)
    one = of_all(found, "class-word").loc["leaky"]
    assert one["leak"] == pytest.approx(0.5)
    # class by class the ratio is 0.5: its error is 0, however much the classes differ
    assert (one["low"], one["high"]) == (pytest.approx(0.5), pytest.approx(0.5))
    assert (one["unasked"], one["asked"], one["against"]) == (
        pytest.approx(0.2), pytest.approx(0.4), "alter",
    )  # fmt: skip
    assert one["sure"] and one["reason"] == ""
    none = of_all(found, "unrelated").loc["leaky"]
    assert none["leak"] == pytest.approx(0) and not none["sure"]
    low, high = none["low"], none["high"]
    # mean 0, sd of SPREAD / 0.4 over five classes: the t interval of four degrees of freedom
    half = 2.7764451 * (SPREAD / 0.4).std(ddof=1) / 5**0.5
    assert (low, high) == (pytest.approx(-half), pytest.approx(half))
    assert leaked(found) == [
        "leaky leaks: without its trigger, on class-word prompts, it draws 0.50 of the likeness "
        "that it adds (image similarity by eye; 0 is the base model)."
    ]


def test_where_asking_adds_nothing_there_is_no_leak(table: Rows) -> None:
    frame = table([
        *base(), *values("idle", "alter", SPREAD), *values("idle", "class-word", 0.2 + SPREAD),
        *values("worse", "alter", SPREAD - 0.4), *values("worse", "class-word", 0.2 + SPREAD),
    ])  # fmt: skip
    found = of_all(leaks(frame), "class-word")
    assert found["leak"].isna().all() and (found["reason"] == NOT_ADDED).all()
    assert (found["p"] < 0.05).all()  # something is added, but there is no share of it
    assert not found["sure"].any()
    assert leaked(leaks(frame)) == []


def test_of_one_class_and_seed_nothing_is_known(table: Rows) -> None:
    made = [*base(), *values("one", "alter", 0.4), *values("one", "class-word", 0.2)]
    frame = table([one for one in made if one["class"] == "bunny"])
    one = of_all(leaks(frame), "class-word").loc["one"]
    assert np.isnan(one["leak"]) and one["reason"] == "only one cell of seed and class"


def test_studies_without_such_prompts_have_none(table: Rows) -> None:
    assert leaks(table([*base()[:5], *values("a", "alter", 0.4)])) is None
    assert leaks(table([*base()[5:], *values("a", "class-word", 0.4)])) is None
    assert leaked(None) == []


def test_the_truth_is_beside_it(table: Rows) -> None:
    kinds = ("alter", "class-word")
    shown = [
        one for name, added in (("base", 0.0), ("leaky", 0.5)) for kind in kinds
        for one in values(name, kind, added * (1 if kind == "alter" else 0.25), "concept_shown")
    ]  # fmt: skip
    seen = [*values("leaky", "alter", 0.4), *values("leaky", "class-word", 0.2)]
    found = of_all(leaks(table([*base(), *seen, *shown])), "class-word")
    assert dict(zip(found["metric"], found["leak"], strict=True)) == {
        "image_similarity": pytest.approx(0.5), "concept_shown": pytest.approx(0.25),
    }  # fmt: skip


@pytest.mark.study
def test_classes_that_share_the_pictures_are_one(table: Rows) -> None:
    """What agnostic prompts show is the same for every class of a category: noise in it is common
    to all, and they are not five witnesses of a leak. Taken for five, half of all tables without an
    effect have a sure one."""
    random, found = np.random.default_rng(0), {True: 0, False: 0}
    for _ in range(60):
        noise = random.normal(0, 0.1)  # of the pictures; of the references there is little
        rows = table([
            *base(),
            *values("leaky", "alter", 0.4 + SPREAD),
            *values("leaky", "unrelated", noise + random.normal(0, 0.01, 5)),
        ])  # fmt: skip
        kinds = rows["prompt_type"]
        for shared in (True, False):
            prompts = kinds if shared else kinds + rows["class"]
            own = rows["prompt_type"] + rows["class"]
            drawn = prompts.where(kinds == "unrelated", own)
            made = leaks(rows.assign(protocol='{"seed": 1, "prompts": "' + drawn + '"}'))
            assert made is not None
            found[shared] += bool(made["sure"].any())
    assert found[True] == 0  # one unit and one seed say nothing
    assert found[False] > 20
