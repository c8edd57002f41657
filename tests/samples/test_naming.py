"""Each tool's names, written as the tool writes them, and patterns of users."""

from pathlib import Path

import pytest

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.run.tree import Tree
from lycoris_bench.samples.naming import OWN, TABLE, named, template
from lycoris_bench.study.records import (
    BASE_CHECKPOINT,
    Checkpoint,
    Concept,
    Configuration,
    ImageSet,
)

KOHYA, AI_TOOLKIT, ONE_TRAINER, SIMPLE_TUNER = (row.tool for row in TABLE if row.tool != OWN)
TIME = "20240131235959"  # as strftime("%Y%m%d%H%M%S") gives it


def kohya(name: str | None, epoch: int | None, steps: int, i: int, seed: int | None) -> str:
    """train_util's rule, from the words of its options."""
    when = f"e{epoch:06d}" if epoch is not None else f"{steps:06d}"
    parts = [*([name] if name else []), when, f"{i:02d}", TIME, *([str(seed)] if seed else [])]
    return "_".join(parts) + ".png"


def ai_toolkit(milliseconds: int, step: int, count: int, prompts: int) -> str:
    return f"{milliseconds}__{str(step).zfill(9)}_{str(count).zfill(len(str(prompts)))}.jpg"


def one_trainer(i: int, prompt: str, step: int, ema: bool = True) -> str:
    legal = "".join(c for c in prompt if c.isalnum() or c in " .-_#").strip()[:32].strip()
    folder = f"{i} - {legal}" + ("" if ema else " - no-ema")
    return f"{folder}/2024-01-31_23-59-59-training-sample-{step}-3-17.jpg"


def simple_tuner(step: int, shortname: str, k: int, size: str = "1024x1024") -> str:
    return f"step_{step}_{shortname}_{k}_{size}.png"


@pytest.mark.parametrize(
    ("place", "tool", "step", "fields"),
    [
        (f"out/sample/{kohya('my_lora', None, 500, 3, 42)}", KOHYA, 500,
         {"configuration": "my_lora", "index": "03", "seed": "42"}),
        (f"out/sample/{kohya('a_b', 2, 500, 0, None)}", KOHYA, 2,
         {"configuration": "a_b", "index": "00"}),
        (f"out/sample/{kohya(None, None, 1234567, 11, 7)}", KOHYA, 1234567,
         {"index": "11", "seed": "7"}),
        (f"job one/samples/{ai_toolkit(1706745599123, 250, 4, 10)}", AI_TOOLKIT, 250,
         {"configuration": "job one", "index": "04"}),
        (f"elsewhere/{ai_toolkit(1706745599123, 0, 0, 3)}", AI_TOOLKIT, 0, {"index": "0"}),
        (f"ws/samples/{one_trainer(2, 'a cat, sitting: (close-up) on a very long sofa', 900)}",
         ONE_TRAINER, 900,
         {"configuration": "ws", "index": "2", "words": "a cat sitting close-up on a very"}),
        (f"ws/samples/{one_trainer(0, 'dog', 900, ema=False)}", ONE_TRAINER, 900,
         {"configuration": "ws", "words": "dog", "variant": " - no-ema"}),
        (f"run/validation_images/{simple_tuner(500, 'a_red_cat', 1)}", SIMPLE_TUNER, 500,
         {"configuration": "run", "shortname": "a_red_cat", "index": "1"}),
        ("validation/step_20_cat_1024.png", SIMPLE_TUNER, 20, {"shortname": "cat"}),
    ],
)  # fmt: skip
def test_a_tool_s_own_names(
    tmp_path: Path, place: str, tool: str, step: int, fields: dict[str, str]
) -> None:
    found = named(tmp_path / place, tmp_path)
    assert (found.tool, found.step) == (tool, step)
    assert {key: found.fields.get(key) for key in fields} == fields
    below = (tmp_path / place).parent
    assert named(tmp_path / place, below).step == step  # whichever folder is given


@pytest.mark.parametrize(
    "checkpoint",
    [
        BASE_CHECKPOINT,
        Checkpoint(Configuration("lora/x", "lora"), 23, 8),
        Checkpoint(Configuration("lora", "lora"), 23, 1600, 0.5),
        Checkpoint(Configuration("both", "combined")),
    ],
)
def test_the_run_folder_s_own_names(tmp_path: Path, checkpoint: Checkpoint) -> None:
    """As run/tree.py renders them, also from a copy of the folder `images`."""
    for concept in (Concept("toys", "bunny"), Concept("characters", "mira", "hat, pixel")):
        path = Tree(tmp_path).image(ImageSet(checkpoint, concept, "alter"), 7)
        copied = tmp_path / "pics" / path.relative_to(tmp_path / "images")
        for found in (named(path, tmp_path / "images"), named(copied, tmp_path / "pics")):
            assert found.tool == OWN
            assert ("base" in found.fields) == checkpoint.is_base
            assert found.step == checkpoint.epoch
            assert found.number("training_seed") == checkpoint.seed
            assert float(found.fields.get("strength", 1)) == checkpoint.strength
            parts = [found.fields.get(key, "") for key in ("category", "class", "subclass")]
            assert Concept(*parts) == concept
            assert (found.fields["prompt_type"], found.number("index")) == ("alter", 7)


@pytest.mark.parametrize("name", ["ComfyUI_00001_.png", "00012-123.png", "a.jpg", "step_1.png"])
def test_other_names_say_nothing(tmp_path: Path, name: str) -> None:
    assert named(tmp_path / name, tmp_path).tool == ""


@pytest.mark.parametrize(
    ("pattern", "place", "fields"),
    [
        ("{configuration}/{step}_{index}", "a/b c/0500_7.png",
         {"configuration": "b c", "step": "0500", "index": "7"}),
        ("{configuration}-{step}", "x/my-lora-20.png", {"configuration": "my-lora", "step": "20"}),
        ("*_s{seed}_*", "x/img_s42_final.png", {"seed": "42"}),
        ("{class}/{prompt}.png", "toys/bunny/a red (one).png",
         {"class": "bunny", "prompt": "a red (one)"}),
        ("(a+b) {step}", "(a+b) 3.png", {"step": "3"}),
    ],
)  # fmt: skip
def test_a_pattern(tmp_path: Path, pattern: str, place: str, fields: dict[str, str]) -> None:
    assert named(tmp_path / place, tmp_path, [template(pattern)]).fields == fields


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("{stp}_{index}", "unknown place 'stp'; did you mean 'step'"),
        ("{step}_{step}", "has {step} twice"),
        ("image", "names nothing; write where what stands"),
        ("*", "names nothing"),
        ("{}", "unknown place ''"),
    ],
)
def test_a_wrong_pattern(pattern: str, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        template(pattern)


def test_a_long_name_is_read_in_no_time(tmp_path: Path) -> None:
    """No expression tries a name over and over: names that nearly fit, as long as they can be."""
    for text in ("_".join(["000001_00"] * 25), "step_1_" + "1_" * 120, "0 - " + "a - " * 60):
        assert named(tmp_path / text, tmp_path).tool in ("", SIMPLE_TUNER)
    assert named(tmp_path / f"lora_{'9' * 200}_00_{TIME}.png", tmp_path).step is None
