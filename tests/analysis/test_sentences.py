"""The findings word for word, one situation a test: readers believe the sentence."""

import pandas as pd
import pytest

from lycoris_bench.analysis.findings.findings import findings
from lycoris_bench.analysis.findings.sentences import ONE_CLASS, ONE_SEED, overall
from lycoris_bench.analysis.series import split_by_strength
from tests.analysis.conftest import Rows, row

CLASSES = ("bunny", "panda", "lobster", "tortoise", "bear", "duck")
CONTROL = {"metric": "text_similarity", "prompt_type": "alter"}
FAITHFUL = "image similarity on trigger prompts"
HELD = "held-out real images"


def of(name: str, *values: float, **about: object) -> list[dict[str, object]]:
    """A configuration on as many classes as it has values."""
    return [row(v, name, class_name=c, **about) for c, v in zip(CLASSES, values, strict=False)]


def outside(base: float | None, real: float | None, classes: int = 6) -> list[dict[str, object]]:
    """The base model's rows and those of real images, alike in all classes."""
    beside = (("base", base), ("real", real))
    return [one for name, v in beside if v is not None for one in of(name, *[v] * classes)]


def said(metrics: pd.DataFrame, heldout: bool | None = True) -> list[str]:
    """All but that there is one seed, as in most of these tables."""
    made: list[str] = findings(metrics, heldout)["sentences"]
    return [line for line in made if line != ONE_SEED]


def test_one_seed_says_nothing_of_the_settings(table: Rows) -> None:
    rows = [*of("a", *[0.6] * 6), *of("b", *[0.5] * 6)]
    assert findings(table(rows))["sentences"][-1] == ONE_SEED
    again = [{**one, "seed": 24} for one in rows]
    assert ONE_SEED not in findings(table([*rows, *again]))["sentences"]
    level = [*of("a", *[0.9] * 4, *[0.5] * 2), *of("b", *[0.5] * 4, *[0.9] * 2)]
    assert ONE_SEED not in findings(table(level))["sentences"], "nothing was said"


def test_a_clear_winner(table: Rows) -> None:
    rows = [*of("a", *[0.6] * 6), *of("b", *[0.5] * 6), *outside(0.2, 0.7)]
    assert said(table(rows)) == [
        f"a is the most faithful ({FAITHFUL}: score 1.00 ± 0.00 of 1), 0.80 ± 0.00 of the way from "
        f"the base model to {HELD}."
    ]


def test_half_of_the_training_images_are_not_called_held_out(table: Rows) -> None:
    rows = [*of("a", *[0.8] * 6), *of("b", *[0.5] * 6), *outside(0.2, 0.7)]
    assert said(table(rows), heldout=False) == [
        f"a is the most faithful ({FAITHFUL}: score 1.00 ± 0.00 of 1), 1.20 ± 0.00 of the way from "
        "the base model to the training images among themselves.",
        "a lies above the ceiling: closer to the training images than half of them are to the "
        "other half, which is a sign of copying.",
    ]
    assert said(table(rows), heldout=None)[1] == (
        "a lies above the ceiling: closer to the training images than other real images are, "
        "which is a sign of copying."
    )


def test_all_worse_than_the_base_model_is_said_first(table: Rows) -> None:
    rows = [*of("lora", *[0.41] * 6), *of("loha", *[0.3] * 6), *outside(0.5, 1.5)]
    assert said(table(rows)) == [
        "Every configuration is further from the training images than the base model is "
        f"({FAITHFUL}: 0.410 at best, 0.500 for the base model).",
        f"lora is the most faithful ({FAITHFUL}: score 1.00 ± 0.00 of 1), further from the "
        f"training images than the base model by 0.09 ± 0.00 of the way to {HELD}.",
    ]
    alone = said(table([*of("lora", *[0.41] * 6), *outside(0.5, 1.5)]))
    assert alone == [
        "lora is further from the training images than the base model is "
        f"({FAITHFUL}: 0.410, 0.500 for the base model).",
        f"Fidelity of lora, the only configuration scored: 0.410 ({FAITHFUL}), further from the "
        f"training images than the base model by 0.09 ± 0.00 of the way to {HELD}.",
        "No criterion has two checkpoints to compare: nothing can be ranked.",
    ]


def test_worse_than_the_base_model_without_a_ceiling(table: Rows) -> None:
    rows = [*of("lora", *[0.4] * 6), *of("loha", *[0.3] * 6), *outside(0.5, None)]
    assert said(table(rows)) == [
        "Every configuration is further from the training images than the base model is "
        f"({FAITHFUL}: 0.400 at best, 0.500 for the base model).",
        f"lora is the most faithful ({FAITHFUL}: score 1.00 ± 0.00 of 1).",
    ]


def test_some_worse_than_the_base_model(table: Rows) -> None:
    rows = [*of("a", *[0.6] * 6), *of("b", *[0.4] * 6), *of("c", *[0.3] * 6)]
    assert said(table([*rows, *outside(0.5, None)])) == [
        "b and c are further from the training images than the base model is.",
        f"a is the most faithful ({FAITHFUL}: score 1.00 ± 0.00 of 1).",
    ]


def test_no_minus_before_a_zero(table: Rows) -> None:
    rows = [*of("a", *[0.49999] * 6), *of("b", *[0.49998] * 6), *outside(0.5, 0.7)]
    assert said(table(rows)) == [
        "No configuration is shown to be closer to the training images than the base model is.",
        f"a is the most faithful ({FAITHFUL}: score 1.00 ± 0.00 of 1), 0.00 ± 0.00 of the way from "
        f"the base model to {HELD}.",
    ]


def test_one_configuration_is_the_best_of_nothing(table: Rows) -> None:
    two_epochs = [*of("a", *[0.3] * 6), *of("a", *[0.45] * 6, epoch=50)]
    assert said(table([*two_epochs, *outside(0.2, 0.7)])) == [
        f"Fidelity of a, the only configuration scored: 0.450 ({FAITHFUL}), 0.50 ± 0.00 of the way "
        f"from the base model to {HELD}."
    ]


def test_two_equal_configurations(table: Rows) -> None:
    rows = [*of("a", *[0.6] * 6), *of("b", *[0.6] * 6)]
    assert said(table(rows)) == [
        f"a and b have the same score in fidelity ({FAITHFUL}: 0.50 of 1)."
    ]
    one_class = [*of("a", 0.6), *of("b", 0.6)]  # equal, however few there are
    assert said(table(one_class))[0].startswith("a and b have the same score in fidelity")


def test_two_that_cannot_be_told_apart(table: Rows) -> None:
    a, b = [0.9] * 4 + [0.5] * 2, [0.5] * 4 + [0.9] * 2
    rows = [*of("a", *a), *of("b", *b)]
    assert said(table(rows)) == [
        f"a and b cannot be told apart in fidelity ({FAITHFUL}: scores from 0.33 to 0.67 of 1)."
    ]
    c = [0.7, 0.4, 1.0, 0.95, 0.45, 0.6]
    found = findings(table([*rows, *of("c", *c)]))
    assert found["sentences"] == [
        "The 3 configurations cannot be told apart in fidelity "
        f"({FAITHFUL}: scores from 0.42 to 0.58 of 1)."
    ]
    assert found["categories"]["toys"]["sentences"] == [
        "The 3 configurations cannot be told apart in fidelity."
    ]


def test_two_others_may_be_told_apart_where_nobody_is_from_the_first() -> None:
    ranking = [
        {"configuration": "a", "score": 0.8, "value": 0.3, "rank": [1, 3]},
        {"configuration": "b", "score": 0.6, "value": 0.2, "rank": [1, 2], "verdict": "undecided"},
        {"configuration": "c", "score": 0.1, "value": 0.1, "rank": [2, 3], "verdict": "undecided"},
    ]
    judgement = {"ranking": ranking, "best": "a", "better": "higher", "prompt_type": "trigger"}
    found = {"categories": {"all categories": {"fidelity": judgement}}}
    assert overall(found) == [
        "In fidelity nobody is told from a, the first, though some of the others are from one "
        f"another ({FAITHFUL}: scores from 0.10 to 0.80 of 1)."
    ]


def test_a_base_model_that_is_ahead_of_all(table: Rows) -> None:
    rows = [*of("a", *[0.6] * 6, **CONTROL), *of("b", *[0.5] * 6, **CONTROL)]
    best = "a is the most controllable (text similarity on alter prompts: score 1.00 ± 0.00 of 1)"
    base = of("base", *[0.7] * 6, **CONTROL)
    assert said(table([*rows, *base])) == [f"{best}; the base model is ahead of them all."]
    assert said(table([*rows, *of("base", *[0.6] * 6, **CONTROL)])) == [f"{best}."]


def test_a_lead_inside_the_noise(table: Rows) -> None:
    rows = [
        *of("a", *[0.9] * 4, *[0.5] * 2),
        *of("b", *[0.5] * 4, *[0.9] * 2),
        *of("c", *[0.1] * 6),
    ]
    found = findings(table(rows))
    assert found["sentences"] == [
        f"a leads in fidelity ({FAITHFUL}: score 0.83 ± 0.11 of 1); b is not told from it.",
        ONE_SEED,
    ]
    assert found["categories"]["toys"]["sentences"] == [
        "a leads in fidelity (b is not told from it)."
    ]


def test_three_classes_tell_nothing_apart(table: Rows) -> None:
    """Labels of two in three classes can be dealt in eight ways: no deal is rare."""
    rows = [*of("a", 0.9, 0.8, 0.7), *of("b", 0.5, 0.5, 0.5)]
    rows += [*of("a", *[0.2] * 6, **CONTROL), *of("b", *[0.4] * 6, **CONTROL)]
    assert said(table(rows)) == [
        f"a and b cannot be told apart in fidelity ({FAITHFUL}: scores from 0.00 to 1.00 of 1).",
        "b is the most controllable (text similarity on alter prompts: score 1.00 ± 0.00 of 1).",
    ]


def test_too_few_pairs_are_said_of_the_criteria_they_are_too_few_for(table: Rows) -> None:
    rows = [*of("a", 0.9), *of("b", 0.5), *of("a", 0.2, **CONTROL), *of("b", 0.4, **CONTROL)]
    assert said(table(rows)) == [
        "With fewer than two pairs of seed and class to compare, no difference can be told from "
        "noise in fidelity and control."
    ]


def test_who_lacks_a_third_of_the_classes_is_not_ranked(table: Rows) -> None:
    """It would be ranked by the easy ones."""
    rows = [row for k, name in enumerate("abcd") for row in of(name, *[0.9 - k / 10] * 6)]
    lacks = [row for row in rows if row["configuration"] != "c" or row["class"] not in CLASSES[:2]]
    found = findings(table(lacks))
    fidelity = found["categories"]["toys"]["fidelity"]
    assert [row["configuration"] for row in fidelity["ranking"]] == ["a", "b", "d"]
    assert [(row["configuration"], row["n"]) for row in fidelity["unranked"]] == [("c", 4)]
    assert "In fidelity c lacks cells that the others have and is not ranked." in said(table(lacks))


def test_of_two_both_are_ranked_by_what_they_share(table: Rows) -> None:
    rows = [*of("a", *[0.9] * 6), *of("b", *[0.5] * 6)]
    lacks = [row for row in rows if row["configuration"] == "a" or row["class"] in CLASSES[:2]]
    found = findings(table(lacks))["categories"]["toys"]["fidelity"]
    assert [row["n"] for row in found["ranking"]] == [2, 2] and "unranked" not in found


def test_the_best_is_not_dropped_for_a_cell_or_two(table: Rows) -> None:
    """A class or two are left out for all, before a configuration that lacks them is."""
    rows = [one for k, name in enumerate("abcde") for seed in (23, 24, 25)
            for one in of(name, *[0.9 - k / 10] * 6, seed=seed)]  # fmt: skip
    lacks = [row for row in rows if (row["configuration"], row["class"], row["seed"])
             != ("a", CLASSES[1], 24)]  # fmt: skip
    fidelity = findings(table(lacks))["categories"]["toys"]["fidelity"]
    assert fidelity["best"] == "a" and "unranked" not in fidelity
    assert (fidelity["classes"], fidelity["of_classes"]) == (5, 6)


def test_the_best_without_one_of_its_seeds_is_not_ranked_and_said_to_be_best(table: Rows) -> None:
    rows = [one for k, name in enumerate("abcde") for seed in (23, 24, 25)
            for one in of(name, *[0.9 - k / 10] * 6, seed=seed)]  # fmt: skip
    made = said(table([r for r in rows if (r["configuration"], r["seed"]) != ("a", 24)]))
    assert made[-1] == (
        "In fidelity a lacks cells that the others have and is not ranked, though of a higher "
        "score."
    )
    most = [r for r in rows if r["configuration"] == "a" or r["seed"] != 24]
    fidelity = findings(table(most))["categories"]["toys"]["fidelity"]
    assert "unranked" not in fidelity and fidelity["ranking"][0]["n"] == 12, "two seeds for all"


def test_who_has_no_score_at_the_last_epoch_is_named(table: Rows) -> None:
    early = of("c", *[0.9] * 6, epoch=5)
    rows = [*of("a", *[0.6] * 6), *of("b", *[0.5] * 6), *early]
    assert said(table(rows))[-1] == "c has no score at epoch 10 and is left out."
    found = findings(table(rows), expected=["a", "b", "c", "d"])
    assert found["absent"] == ["c", "d"]


def test_one_class_is_said(table: Rows) -> None:
    rows = [
        row(0.9 - k / 10, name, class_name="bunny", seed=seed)
        for k, name in enumerate("ab") for seed in range(9)
    ]  # fmt: skip
    assert ONE_CLASS in said(table(rows))


def test_a_class_that_one_of_many_lacks_is_left_out_for_all(table: Rows) -> None:
    rows = [row for k, name in enumerate("abcd") for row in of(name, *[0.9 - k / 10] * 6)]
    lacks = [row for row in rows if row["configuration"] != "c" or row["class"] != CLASSES[0]]
    assert "In fidelity all are compared on 5 of 6 classes, which all ranked ones have." in said(
        table(lacks)
    )


def test_configurations_of_different_concepts_are_not_ranked(table: Rows) -> None:
    rows = [row(0.9, "a", class_name="bunny"), row(0.1, "b", class_name="panda")]
    assert said(table(rows)) == [
        f"No two configurations share a concept, so none is ranked in fidelity ({FAITHFUL}).",
        "No criterion has two checkpoints to compare: nothing can be ranked.",
    ]


@pytest.mark.parametrize(("control", "sentence"), [
    ((0.9, 0.5, 0.1), "a is first in both fidelity and control."),
    ((0.5, 0.9, 0.1), "a, the most faithful, is 2nd of 3 in control."),
    ((0.1, 0.9, 0.5), "a, the most faithful, is 3rd of 3 in control."),
    ((0.5, 0.5, 0.5), None),
])  # fmt: skip
def test_where_the_most_faithful_stands_in_control(
    table: Rows, control: tuple[float, ...], sentence: str | None
) -> None:
    made = said(table(of_both("abc", (0.9, 0.5, 0.1), control)))
    assert made[2:] == ([sentence] if sentence else [])


def of_both(
    names: str, fidelity: tuple[float, ...], control: tuple[float, ...]
) -> list[dict[str, object]]:
    """Values of each configuration by both criteria, alike in all classes."""
    return [
        one
        for values, about in ((fidelity, {}), (control, CONTROL))
        for name, v in zip(names, values, strict=True)
        for one in of(name, *[v] * 6, **about)
    ]


def test_two_conflict_where_the_order_of_one_is_the_others_backwards(table: Rows) -> None:
    up = tuple(0.1 * k for k in range(6))
    made = said(table(of_both("abcdef", up, up[::-1])))
    assert made[2] == (
        "Fidelity and control conflict: the more faithful a configuration, the less controllable "
        "(rank correlation -1.00, -1.00 to -0.62, over 6 configurations)."
    )
    shuffled = (0.5, 0.1, 0.4, 0.0, 0.3, 0.2)  # rho is -.54: it happens in one of seven orders
    assert not any("conflict" in line for line in said(table(of_both("abcdef", up, shuffled))))
    three = said(table(of_both("abc", up[:3], up[2::-1])))
    assert not any("conflict" in line for line in three), "one of six orders is backwards"


def test_two_of_unlike_concepts_are_not_ranked_by_their_own(table: Rows) -> None:
    """Each has a score, against an earlier epoch of itself."""
    rows = [
        {**one, "class": f"{one['class']}-{name}"} for name in "ab" for one in of(name, 0.9, 0.8)
    ]
    earlier = [{**one, "epoch": 5, "value": 0.3} for one in rows]
    assert said(table([*rows, *earlier]))[0] == (
        f"No two configurations share a concept, so none is ranked in fidelity ({FAITHFUL})."
    )


def test_two_categories_are_judged_each(table: Rows) -> None:
    rows = [one for name, v in (("a", 0.6), ("b", 0.4)) for one in of(name, *[v] * 6)]
    rows += [one for name, v in (("a", 0.3), ("b", 0.5))
             for one in of(name, *[v] * 6, category="scenes")]  # fmt: skip
    rows += of("base", *[0.45] * 6)
    found = findings(table(rows))["categories"]
    assert found["toys"]["sentences"] == [
        "b is further from the training images than the base model is.",
        "a is the most faithful.",
    ]
    assert found["scenes"]["sentences"] == ["b is the most faithful."]


def test_adapters_made_elsewhere_have_no_epoch(table: Rows) -> None:
    """A study that only combines has neither seeds nor epochs; classes are compared."""
    none = {"seed": None, "epoch": None}
    rows = [*of("a", *[0.6] * 6, **none), *of("b", *[0.5] * 6, **none)]
    found = findings(table(rows))
    assert "epoch" not in found
    assert found["sentences"] == [
        f"a is the most faithful ({FAITHFUL}: score 1.00 ± 0.00 of 1).", ONE_SEED,
    ]  # fmt: skip


def test_one_configuration_at_several_strengths_is_named_with_them(table: Rows) -> None:
    rows = [one for s in (0.5, 1.0) for one in of("lora", *[s / 2] * 6, strength=s)]
    known = {"configuration": ["lora"], "algorithm": ["lora"], "preset": ["full"], "lr": [1e-3]}
    metrics, factors = split_by_strength(table(rows), pd.DataFrame(known))
    assert list(factors["series"]) == ["lora ×1", "lora ×0.5"]
    assert set(factors["configuration"]) == set(metrics["configuration"]) == {"lora"}
    assert said(metrics) == [f"lora ×1 is the most faithful ({FAITHFUL}: score 1.00 ± 0.00 of 1)."]


def test_what_was_not_scored_is_said(table: Rows) -> None:
    other = {"metric": "centroid_distance", "better": "lower"}
    assert said(table([*of("a", 0.5, **other), *of("b", 0.4, **other)])) == [
        "None of the criteria was scored: image similarity on trigger prompts, text similarity on "
        "alter prompts, Vendi score on trigger prompts and style loss on style prompts."
    ]
    assert said(table([row(0.2, "base")])) == ["No checkpoint was scored: nothing can be ranked."]


def test_strength_zero_is_the_base_model(table: Rows) -> None:
    rows = [*of("lora", *[0.6] * 6), *of("lora ×0", *[0.2] * 6), *outside(0.2, 0.7)]
    found = findings(table(rows), True)["categories"]["toys"]["fidelity"]
    assert found["distance_closed"]["lora ×0"]["share"] == pytest.approx(0)
    assert found["against_base"]["lora ×0"]["verdict"] == "undecided"
