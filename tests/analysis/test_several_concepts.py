"""Interference and merging: who is compared with whom, numbers against loops, and what is said."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lycoris_bench.analysis.columns import OVERALL
from lycoris_bench.analysis.several_concepts.differences import (
    APART,
    BETTER,
    UNDECIDED,
    WORSE,
    Differences,
    differences,
)
from lycoris_bench.analysis.several_concepts.pairs import pairs
from lycoris_bench.analysis.several_concepts.relations import NONE, Relations, relations
from lycoris_bench.analysis.several_concepts.sentences import sentences
from lycoris_bench.study.records import COMBINED, Configuration
from tests.analysis.conftest import Rows, row

CONCEPTS = {"bunny": ("toys", "bunny", ""), "mira": ("people", "mira", "coat"),
            "dress": ("people", "mira", "dress"), "ink": ("looks", "ink", "")}  # fmt: skip
RELATED = Relations(
    dict.fromkeys(CONCEPTS, "lora"), {"sum": "lora", "weighted": "lora"},
    frozenset({*CONCEPTS, "toys only"}),
)  # fmt: skip
METRICS = {"image_similarity": ("trigger", "higher"), "text_similarity": ("alter", "higher"),
           "vendi": ("trigger", "higher"), "style_loss": ("style", "lower")}  # fmt: skip


def study(
    seeds: tuple[int, ...] = (23, 24, 25), noise: float = 0.01, loss: float = 0.2
) -> Iterator[dict[str, object]]:
    """Taught together loses fidelity and nothing else; the sum at half strength loses as much
    again, and much of its style."""
    rng = np.random.default_rng(1)
    hard = {name: rng.normal(0, 0.2) for name in CONCEPTS}
    for seed in seeds:
        for name, (category, class_name, subclass) in CONCEPTS.items():
            for metric, (kind, better) in METRICS.items():
                faithful = metric == "image_similarity"
                values = {
                    (name, 1.0): 0.0,
                    ("lora", 0.5): -9.0,  # not what is compared with
                    ("lora", 1.0): -loss * faithful,
                    ("sum", 0.5): -2 * loss * faithful + 5 * (metric == "style_loss"),
                    ("sum", 1.0): -loss * faithful,
                }
                for (configuration, strength), moved in values.items():
                    yield row(
                        hard[name] + moved + rng.normal(0, noise), configuration, seed=seed,
                        strength=strength, metric=metric, prompt_type=kind, better=better,
                        category=category, class_name=class_name, subclass=subclass,
                    )  # fmt: skip


def found(table: Rows, loss: float = 0.2) -> Differences:
    made = differences(table([*study(loss=loss)]), RELATED)
    assert made is not None
    return made


def test_who_is_compared_with_whom() -> None:
    def lora(
        name: str, lr: float = 1e-3, concepts: tuple[str, ...] = (), importance: bool = True
    ) -> Configuration:
        dim = (("dim", 4),)
        return Configuration(
            name, "lora", "full", lr, dim, concepts=concepts, importance=importance
        )

    def made(name: str, *parts: str) -> Configuration:
        return Configuration(name, COMBINED, options=tuple((part, 1.0) for part in parts))

    study = [
        lora("all"), lora("a", concepts=("toys/a",), importance=False),
        lora("b", concepts=("toys/b",)), lora("fast", 2e-3),
        lora("fast a", 2e-3, concepts=("toys/a",)), lora("odd", 3e-3, concepts=("toys/a",)),
        made("sum", "a", "b"), made("unlike", "a", "fast a"), made("with all", "a", "all"),
        made("file", "a", "x.safetensors"),
    ]  # fmt: skip
    known = relations(study)
    assert known.apart == {"a": "all", "b": "all", "fast a": "fast"}
    assert known.merged == {"sum": "all"}
    assert known.some == {"a", "b", "fast a", "odd", "sum", "unlike"}


def test_means_are_those_of_a_loop_over_cells(table: Rows) -> None:
    """Sub-classes of a class are one, and what is applied at half its strength is not taken for
    what was trained."""
    rows = table([*study()])
    made = found(table)
    value = rows.set_index(["configuration", "strength", "metric", "seed", "class", "subclass"])
    value = value["value"].sort_index()
    for metric in METRICS:
        cells = []
        for seed in (23, 24, 25):
            for names in (["bunny"], ["mira", "dress"], ["ink"]):
                own = []
                for name in names:
                    _, class_name, subclass = CONCEPTS[name]
                    key = metric, seed, class_name, subclass
                    own.append(value["lora", 1.0, *key] - value[name, 1.0, *key])
                cells.append(np.mean(own))
        whole = line(made.interference, metric, OVERALL)
        assert whole["difference"] == pytest.approx(np.mean(cells))
        assert (whole["seeds"], whole["classes"], whole["against"]) == (3, 3, APART)
        own = [value["lora", 1.0, metric, s, "mira", "coat"]
               - value["mira", 1.0, metric, s, "mira", "coat"] for s in (23, 24, 25)]  # fmt: skip
        alone = line(made.interference, metric, "people/mira/coat")
        assert alone["difference"] == pytest.approx(np.mean(own))
        assert (alone["seeds"], alone["classes"], alone["verdict"]) == (3, 1, "")
        # its own error, or what all sides show where that is more
        assert alone["stderr"] >= np.std(own, ddof=1) / np.sqrt(3) - 1e-12
        assert alone["low"] < alone["difference"] < alone["high"]


def line(table: pd.DataFrame, metric: str, concept: str) -> pd.Series:
    (place,) = np.flatnonzero((table["metric"] == metric) & (table["concept"] == concept))
    return pd.Series(table.iloc[place])


@pytest.mark.study
def test_only_what_was_planted_is_told(table: Rows) -> None:
    made = found(table)
    verdicts = made.interference.query("verdict != ''").set_index("metric")["verdict"].to_dict()
    assert verdicts == {"image_similarity": WORSE, "text_similarity": UNDECIDED,
                        "vendi": UNDECIDED, "style_loss": UNDECIDED}  # fmt: skip
    judged = made.merging.query("verdict != ''").set_index(["strength", "metric"])["verdict"]
    assert judged[1.0].to_dict() == dict.fromkeys(METRICS, UNDECIDED)
    assert judged[0.5, "image_similarity"] == judged[0.5, "style_loss"] == WORSE
    better = found(table, loss=-0.2)
    assert (better.interference["verdict"] == BETTER).sum() == 1


def test_sentences_say_what_the_verdicts_are(table: Rows) -> None:
    said = sentences(found(table))
    assert said[0].startswith(
        "Taught together (lora), fidelity is worse than of each concept taught alone, by 0."
    )
    assert said[0].endswith("(image similarity on trigger prompts, 3 classes, 3 seeds).")
    assert said[1] == (
        "In control, diversity and preservation, concepts taught together (lora) are not told from "
        "each taught alone."
    )
    assert any(s.startswith("sum ×0.5, concepts taught apart and merged, is worse in fidelity than "
                            "concepts taught together (lora), by 0.") for s in said)  # fmt: skip
    assert said[-2:] == [
        "In fidelity and preservation, sum ×1 is not told from concepts taught together (lora).",
        "In control and diversity, sum ×0.5 and sum ×1 are not told from concepts taught together "
        "(lora).",
    ]


@pytest.mark.study
def test_nothing_is_said_where_nothing_differs(table: Rows) -> None:
    """Of equal configurations, in 40 studies, none too many is told apart: Holm at 5 %."""
    wrong = 0
    for k in range(40):
        rng = np.random.default_rng(k)
        rows = table([*study(loss=0.0)])
        rows = rows[~rows["strength"].eq(0.5)]
        rows = rows.assign(value=rng.normal(size=len(rows)))
        made = differences(rows, RELATED)
        assert made is not None
        wrong += made.interference["verdict"].isin([BETTER, WORSE]).any()
    assert wrong <= stats.binom.ppf(0.999, 40, 0.05)


def test_one_cell_has_no_error_and_no_verdict(table: Rows) -> None:
    rows = table([*study(seeds=(23,))])
    one = rows[rows["class"] == "bunny"].reset_index(drop=True)
    made = differences(one, RELATED)
    assert made is not None
    assert made.interference["stderr"].isna().all() and (made.interference["p"] == 1).all()
    assert set(made.interference["verdict"]) <= {"", UNDECIDED}


def test_without_such_configurations_there_is_nothing(table: Rows) -> None:
    rows = table([*study()])
    assert differences(rows, NONE) is None
    whole = rows[rows["configuration"] == "lora"].reset_index(drop=True)
    assert differences(whole, RELATED) is None


def test_what_lacks_concepts_by_design_is_not_ranked(table: Rows) -> None:
    rows = table([*study()])
    factors = pd.DataFrame({"configuration": [*CONCEPTS, "lora", "sum", "toys only"]})
    kept, ranked, unranked = RELATED.ranked(rows, factors)
    assert set(kept["configuration"]) == set(ranked["configuration"]) - {"toys only"}
    assert set(kept["configuration"]) == {"lora", "sum"}
    assert list(unranked["series"]) == [*CONCEPTS]
    alone = rows[rows["configuration"].isin(CONCEPTS)].reset_index(drop=True)
    same = RELATED.ranked(alone, factors)
    assert same[0] is alone and same[1] is factors and same[2].empty


def test_shares_of_a_pair_by_hand(table: Rows) -> None:
    """Of four images: one shows both, two the first alone, none the second alone, one neither."""
    shown = {"first_found": [1, 1, 1, 0], "second_found": [1, 0, 0, 0], "both_found": [1, 0, 0, 0]}
    rows = [
        row(float(np.mean(images)), metric=metric, prompt_type="compose", second="pets/tom")
        for metric, images in shown.items()
    ]
    made = pairs(table([*rows, row(0.5)]))
    assert made.to_dict("records") == [{
        "configuration": "lora", "strength": 1.0, "first": "toys/bunny", "second": "pets/tom",
        "known": "by an encoder", "both": 0.25, "first alone": 0.5, "second alone": 0.0,
        "neither": 0.25,
    }]  # fmt: skip
