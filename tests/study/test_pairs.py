"""Prompts of two concepts: which stand together, where prompts come from, and what is wrong."""

from pathlib import Path

import pytest

from lycoris_bench.planning.plan import plan
from lycoris_bench.study import prompt_types
from lycoris_bench.study.concept_words import PromptError
from lycoris_bench.study.load import StudyError, parse
from lycoris_bench.study.pairs import pairs
from lycoris_bench.study.places import locate
from lycoris_bench.study.records import Concept
from lycoris_bench.study.wording import Words
from tests.support.world import table, tiny

TOY, CAT, HOUSE = Concept("toys", "bunny"), Concept("pets", "tom"), Concept("scenes", "house")
INK = Concept("looks", "ink")
WORDS = {
    TOY: Words("olis", "toy", "blue toy"),
    CAT: Words("mru", "cat", "grey cat", "hat"),
    HOUSE: Words("ovo", "scene", "old house"),
    INK: Words("rps", "style", "", kind="style"),
}


def test_by_rule_each_stands_with_the_next_of_another_class() -> None:
    coat, dress = Concept("people", "mira", "coat"), Concept("people", "mira", "dress")
    words = {concept: Words("a", "b", "c") for concept in (TOY, coat, dress, CAT)}
    assert pairs(words) == [(TOY, coat), (coat, CAT), (dress, CAT), (CAT, TOY)]


def test_a_style_is_said_first_and_never_with_a_style() -> None:
    brush = Concept("looks", "brush")
    words = {TOY: WORDS[TOY], INK: WORDS[INK], brush: WORDS[INK], CAT: WORDS[CAT]}
    assert pairs(words) == [(INK, TOY), (INK, CAT), (brush, CAT), (CAT, TOY)]
    assert pairs({TOY: WORDS[TOY], INK: WORDS[INK]}) == [(INK, TOY)]
    for alone in ({TOY: WORDS[TOY]}, {INK: WORDS[INK], brush: WORDS[INK]}):
        with pytest.raises(PromptError, match="need concepts of two classes"):
            pairs(alone)


def test_listed_pairs_are_taken_as_they_are() -> None:
    listed = [("toys/bunny", "pets/tom"), ("toys/bunny", "scenes/house")]
    assert pairs(WORDS, listed) == [(TOY, CAT), (TOY, HOUSE)]


def test_every_mistake_of_a_list_is_said() -> None:
    listed = [
        ("toys/buny", "pets/tom"), ("toys/bunny", "toys/bunny"), ("toys/bunny", "looks/ink"),
        ("pets/tom", "scenes/house"), ("pets/tom", "scenes/house"), ("looks/ink", "looks/ink"),
    ]  # fmt: skip
    with pytest.raises(PromptError) as error:
        pairs(WORDS, listed)
    assert str(error.value).split("; ") == [
        "unknown concept of sampling.pairs 'toys/buny'", "did you mean 'toys/bunny'?",
        "'sampling.pairs' pairs toys/bunny with itself",
        "'sampling.pairs' has the style looks/ink second", "a style is said first: turn it round",
        "'sampling.pairs' has pets/tom and scenes/house twice",
        "'sampling.pairs' pairs looks/ink with itself",
    ]  # fmt: skip


def composed(folder: Path, first: Concept, second: Concept) -> tuple[tuple[str, str], ...]:
    found = prompt_types.prompt_set(
        folder, first, "compose", WORDS[first], [], second=(second, WORDS[second])
    )
    assert found is not None and found.key == (first, "compose", second)
    return tuple(zip(found.prompts, found.texts, strict=True))


def test_both_are_named_and_both_are_described(tmp_path: Path) -> None:
    assert composed(tmp_path, TOY, CAT) == (("olis toy and mru cat, hat", "blue toy and grey cat"),)
    (tmp_path / "looks").mkdir()
    (tmp_path / "compose.txt").write_text("# how\n{} beside [trigger], at night\n")
    (tmp_path / "looks/compose.txt").write_text("{} of {}\n{}, {}, left\n")
    assert composed(tmp_path, CAT, TOY) == (
        ("mru cat, hat beside olis toy, at night", "grey cat beside blue toy, at night"),
    )
    assert composed(tmp_path, INK, TOY) == (
        ("rps style of olis toy", "blue toy"), ("rps style, olis toy, left", "blue toy, left"),
    )  # fmt: skip


def test_a_line_has_exactly_two_places(tmp_path: Path) -> None:
    (tmp_path / "compose.txt").write_text(
        "{} and {}\n# no\n{} alone\n{}, {} and {}\n{name} by {}\n"
    )
    with pytest.raises(PromptError) as error:
        composed(tmp_path, TOY, CAT)
    said = str(error.value)
    assert "line 3 has 1 place for concepts; exactly two {} are needed" in said
    assert "line 4 has 3 places" in said and "line 5 holds {name}" in said and "line 1" not in said


@pytest.mark.parametrize("tree", ["miniature", "paper"])
def test_the_shipped_prompts_name_two(tree: str) -> None:
    files = sorted(locate(f"package:prompts/{tree}", Path()).rglob("compose.txt"))
    assert len(files) == 3
    for path in files:
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        assert len(lines) >= 4 and all(line.count("{}") == 2 for line in lines)


def test_a_study_says_its_pairs() -> None:
    kinds = {"prompt_types": ["trigger", "compose"]}
    by_rule = plan(tiny(sampling=kinds))
    assert [str(p.second) for p in by_rule.prompt_sets if p.second] == [
        "toys/lobster",
        "toys/bunny",
    ]
    listed = plan(tiny(sampling={**kinds, "pairs": [["toys/bunny", "toys/lobster"]]}))
    assert listed.prompt_sets == tuple(
        p for p in by_rule.prompt_sets if str(p.second) != "toys/bunny"
    )
    with pytest.raises(StudyError, match=r"'sampling.pairs' is given, but no compose in"):
        plan(tiny(sampling={"pairs": [["toys/bunny", "toys/lobster"]]}))
    with pytest.raises(StudyError, match=r"sampling\.pairs"):
        parse(table(sampling={"pairs": [["toys/bunny"]]}))
    with pytest.raises(StudyError, match="two classes"):
        plan(tiny(concepts=["toys/bunny"], sampling=kinds))
