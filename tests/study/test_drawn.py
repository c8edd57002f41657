"""The study file of images that exist already."""

import tomllib
from typing import Any

import pytest

from lycoris_bench.study import drawn
from lycoris_bench.study.load import StudyError, parse
from lycoris_bench.study.records import Checkpoint, Configuration

TABLE: dict[str, Any] = {
    "name": "mine",
    "scoring": {"encoders": ["miniature-image"]},
    "drawn": {
        "a b": {"folder": "../x", "steps": [100, 200]},
        "lora": {"folder": "../x", "seeds": [23], "steps": [8], "algorithm": "lora", "lr": 1e-3},
        "plain": {"folder": "../x"},
    },
}


def test_its_checkpoints_are_those_that_drew() -> None:
    study = parse(TABLE)
    assert [str(c) for c in study.checkpoints] == [
        "base", "a b/epoch-100", "a b/epoch-200", "lora/seed-23/epoch-008", "plain",
    ]  # fmt: skip
    assert (study.trained, study.combined, study.own) == ([], [], {})
    assert [c.algorithm for c in study.configurations] == ["drawn", "lora", "drawn"]
    assert study.settings.scoring.encoders == ("miniature-image",)
    with pytest.raises(StudyError, match="its images exist already; its file is in the run"):
        study.toml()


def test_what_is_written_is_read_again() -> None:
    made = [Checkpoint(Configuration("x", "drawn"), None, step) for step in (1, 20)]
    made += [Checkpoint(Configuration('é "q"', "loha", "attn", 0.5), 3, None, 0.5)]
    folders = {c.configuration.name: "." for c in made}
    text = drawn.toml("n", {"encoders": ["miniature-image"]}, made, folders)
    again = parse(tomllib.loads(text)).drawn
    assert [(str(c), c.configuration) for c in again] == [(str(c), c.configuration) for c in made]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"drawn": {}}, "'drawn' is {}: at least 1 is needed"),
        ({"drawn": {"a": {}}}, "'drawn.a.folder' is missing"),
        (
            {"drawn": {"a": {"folder": "x", "step": [1]}}},
            "unknown key 'drawn.a.step'; did you mean",
        ),
        ({"drawn": {"a": {"folder": "x", "steps": [-1]}}}, "'drawn.a.steps.0' is -1: 0 or more"),
        ({"drawn": {"a": {"folder": "x", "steps": "1"}}}, "a list is needed"),
        ({"drawn": {"base": {"folder": "x"}}}, "'base' is the name of what configurations are"),
        ({"drawn": 3}, "'drawn' is 3: a table is needed"),
        ({"algorithms": {}}, "exist already, which no study draws; it does not go with 'algo"),
    ],
)
def test_mistakes_are_sentences(change: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError) as error:
        parse({**TABLE, **change})
    assert said in str(error.value)
