"""Prompts of a user's own, as trainers are given them."""

from pathlib import Path

import pytest

from lycoris_bench.evaluation.prompts import ALTER, files_of, own_prompts
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.study.places import locate
from lycoris_bench.study.records import Concept
from lycoris_bench.study.wording import Words

KOHYA = """# prompt 1
masterpiece, olis toy, at the beach --n low quality, worst quality --w 768 --h 768 --d 1 --l 7.5 --s 28

   # prompt 2
{} in the snow, 4k -- wet --W 768 --H 768 --D 2 --L 7.5 --n low quality
"""  # noqa: E501  # a line is a prompt


def test_options_are_no_part_of_a_prompt_and_that_is_said(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text(KOHYA)
    lines, said = own_prompts(file)
    expected = ["masterpiece, olis toy, at the beach", "{} in the snow, 4k -- wet"]
    assert lines == expected
    assert said == [
        "prompts.txt: --n, --w, --h, --d, --l, --s in its lines are not used: all images of an "
        "evaluation share one size, guidance, number of steps and list of seeds, and no negative "
        "prompt (for all of them: --set sampling.width=768 --set sampling.height=768 "
        "--set sampling.guidance=7.5 --set sampling.steps=28)"
    ]
    tree = locate("package:prompts/paper", Path())
    files = files_of({Concept("toys", "bunny"): Words("olis", "toy", "toy")}, tree, lines)
    assert files[f"toys/bunny/{ALTER}"].splitlines() == expected


def test_only_what_can_be_typed_is_advised(tmp_path: Path) -> None:
    file = tmp_path / "p.txt"
    file.write_text("a {} --w abc --s 20.5 --d -3 --l x --h 0\na {} --w abc --s 20.5\n")
    _, [said] = own_prompts(file)
    assert "--w, --s, --d, --l, --h in its lines are not used" in said and "--set" not in said


def test_what_looks_like_an_option_and_is_none_stays_and_is_named(tmp_path: Path) -> None:
    file = tmp_path / "p.txt"
    file.write_text("a {} -- or two --foo 3 --d 4\na {} --w=512\n")
    lines, said = own_prompts(file)
    assert lines == ["a {} -- or two --foo 3", "a {} --w=512"]
    assert said[1] == (
        "p.txt: --foo, --w in its lines is no option that trainers read, and stays in the prompt"
    )


def test_prompts_without_options_are_taken_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("{} --- on a wall\n#x\n{}, a --negative-- of a photograph\n")
    assert own_prompts(file) == (["{} --- on a wall", "{}, a --negative-- of a photograph"], [])


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p.txt", "a cat\n--n dog\n", "line 2 has options and no prompt"),
        ("p.txt", "a cat --n\n{name} --w 8\n", "line 2 holds {name}"),
        ("p.toml", "[prompt]\n", "is no text; a file with a prompt a line is needed"),
        ("p.txt", "# nothing\n\n", "holds no prompt"),
    ],
)
def test_mistakes_are_a_sentence(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BenchError) as caught:
        own_prompts(tmp_path / name)
    assert said in str(caught.value) and "\n" not in str(caught.value)
