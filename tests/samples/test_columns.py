"""What is compared: which images make a column, and which of them every column has."""

from pathlib import Path
from typing import Any

import pytest

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.samples.columns import STEP, Known, align, group, partners
from lycoris_bench.samples.found import Notes, Sample
from lycoris_bench.study.records import Concept, Configuration

TOY = Concept("images", "toy")


def sample(place: str, **about: Any) -> Sample:
    about = {"configuration": "lora", "prompt": "a", "seed": 1, "step": 100, **about}
    return Sample(Path(place), place, (8, 8), place, concept=TOY, **about)


def grid(steps: tuple[int, ...], prompts: str, seeds: tuple[int | None, ...]) -> list[Sample]:
    return [
        sample(f"{step}-{prompt}-{seed}-{k}", step=step, prompt=prompt, seed=seed)
        for step in steps
        for prompt in prompts
        for k, seed in enumerate(seeds)
    ]


def columns(samples: list[Sample], by: str = STEP) -> tuple[dict[str, list[str]], Notes]:
    notes = Notes()
    made = align(group(samples, by, Known({}), notes), notes)[0]
    return {str(column): [s.place for s in own] for column, own in made.items()}, notes


def test_steps_are_columns_in_their_order() -> None:
    found, notes = columns(grid((1000, 200), "ab", (1, 2)))
    assert [*found] == ["lora/epoch-200", "lora/epoch-1000"]
    assert {len(own) for own in found.values()} == {4} and notes == Notes()


def test_a_field_in_place_of_steps() -> None:
    samples = [sample(f"{m}{k}", said={"model": m}, prompt=str(k)) for m in "AB" for k in (1, 2)]
    found, notes = columns([*samples, sample("none")], "model")
    assert found == {"A": ["A1", "A2"], "B": ["B1", "B2"]}
    assert "1 image has no 'model' and is left out (none)" in notes.warned["--group"]
    assert [*columns(samples, "configuration")[0]] == ["lora"]
    with pytest.raises(BenchError, match="unknown field 'modl'; did you mean 'model'"):
        columns(samples, "modl")


def test_what_a_column_lacks_is_left_out_of_all() -> None:
    samples = [s for s in grid((1, 2, 3), "abc", (1, 2)) if s.place != "2-b-2-1"]
    found, notes = columns(samples)
    assert {len(own) for own in found.values()} == {5}
    assert "2 images have no counterpart" in notes.warned["columns"] and not notes.failed


def test_a_column_that_lacks_most_is_left_out_whole() -> None:
    """The training was stopped while it drew its last samples."""
    samples = [s for s in grid((1, 2, 3), "abcd", (1,)) if s.step != 3 or s.prompt == "a"]
    found, notes = columns(samples)
    assert [*found] == ["lora/epoch-001", "lora/epoch-002"]
    assert {len(own) for own in found.values()} == {4}
    assert notes.failed == {
        "lora/epoch-003": "it has 1 of the 4 images that most others have; it is not compared"
    }


def test_images_without_seeds_count_by_their_prompt() -> None:
    found, notes = columns(grid((1, 2), "ab", (None, None)))
    assert {len(own) for own in found.values()} == {4} and notes == Notes()
    random = [*grid((1,), "ab", (5, 6)), *grid((2,), "ab", (7, 8))]
    found, notes = columns(random)
    assert {len(own) for own in found.values()} == {4} and notes == Notes()


def test_columns_with_nothing_in_common_stay() -> None:
    found, notes = columns([*grid((1,), "a", (1,)), *grid((2,), "b", (1,))])
    assert len(found) == 2 and "no prompt has images in every column" in notes.warned["columns"]


def test_names_become_names_of_configurations() -> None:
    """Reserved, hidden, empty, and alike but for case: each gets a name of its own."""
    hostile = ["base", "real", "A", "a", "x\x1b[31m", "..", " ", "n" * 300, "dataset"]
    hostile += ["\u00e9", "e\u0301"]
    samples = [sample(str(k), configuration=name) for k, name in enumerate(hostile)]
    made = group(samples, STEP, Known({}), Notes())
    names = [column.configuration.name for column in made]
    assert len({name.casefold() for name in names}) == len(hostile) == len(made)
    assert not {"base", "real", "dataset"} & set(names)
    assert all(0 < len(name) < 120 and "\x1b" not in name for name in names)


def test_a_known_configuration_keeps_what_is_known_of_it() -> None:
    lora = Configuration("lora", "lora", "attn-mlp", 1e-3, (("dim", 4),))
    [column] = group([sample("1")], STEP, Known({"lora": lora}), Notes())
    assert (column.configuration.algorithm, column.configuration.lr) == ("lora", 1e-3)


def test_partners_have_the_same_prompt_and_seed() -> None:
    base = [sample("b1", seed=1), sample("b2", seed=2), sample("b3", seed=None)]
    drawn = [sample("1", seed=1), sample("2", seed=3), sample("3", prompt="b"),
             sample("4", seed=None), sample("5", prompt=None)]  # fmt: skip
    assert {k: one.place for k, one in partners(drawn, base).items()} == {"1": "b1"}
