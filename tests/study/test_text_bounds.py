"""How long texts may be, and what may stand in a table of concepts and in a prompt."""

import json
from pathlib import Path

import pytest
from PIL import Image

from lycoris_bench.data.captioning.write import CaptionOptions, write
from lycoris_bench.data.dataset import scan
from lycoris_bench.data.images import DataError
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.study import concept_words, prompt_types
from lycoris_bench.study.concept_words import PromptError
from lycoris_bench.study.prompt_types import prompt_set
from lycoris_bench.study.records import Concept
from lycoris_bench.study.wording import LONGEST, Words

BUNNY, TOY = Words("olis", "toy", "bunny toy"), Concept("toys", "bunny")
TABLE = '["toys/bunny"]\ntrigger = "olis"\nclass_word = "toy"\ndescription = "bunny toy"\n'
LONG = "ab " * (LONGEST // 3) + "a"  # the longest that is allowed


@pytest.fixture
def toys(tmp_path: Path) -> Path:
    """A dataset of five toys with captions."""
    files = tmp_path / "data/toys/bunny"
    files.mkdir(parents=True)
    for k in range(1, 6):
        Image.new("RGB", (2, 2)).save(files / f"{k}.png")
        (files / f"{k}.txt").write_text("x")
    return tmp_path / "data"


def test_captions_of_all_kinds_have_a_bound_and_all_longer_ones_are_named(toys: Path) -> None:
    assert len(LONG) == LONGEST
    files = toys / "toys/bunny"
    (files / "1.txt").write_text("  " + LONG.replace(" ", " \n"))  # white space does not count
    assert scan(toys).examples[0].caption == LONG
    (files / "2.txt").write_text(LONG + "b")
    (files / "3.txt").write_text("é" * 700_000)
    entries = [{"file_name": "4.png", "text": LONG}, {"file_name": "5.png", "text": LONG * 2}]
    (files / "metadata.jsonl").write_text("\n".join(map(json.dumps, entries)))
    with pytest.raises(DataError) as error:
        scan(toys)
    assert error.value.problems == [
        "the caption of toys/bunny/2.png has 10,001 characters; at most 10,000 are allowed",
        "caption toys/bunny/3.txt is a file of 1,400,000 bytes; "
        "at most 10,000 characters are allowed",
        "the caption of toys/bunny/5.png has 20,000 characters; at most 10,000 are allowed",
    ]


def test_other_captions_have_the_same_bound(toys: Path) -> None:
    for k in range(1, 6):
        (toys / f"toys/bunny/{k}.no-tags").write_text("x" if k > 1 else LONG + "b")
    with pytest.raises(DataError, match="1.png has 10,001 characters"):
        scan(toys).recaptioned(toys, ".no-tags")


@pytest.mark.parametrize("how", [CaptionOptions("none", template=LONG + "{}", descriptor="a toy"),
                                 CaptionOptions("none", template="{} " * 5000, descriptor="a toy"),
                                 CaptionOptions("all", descriptor="a" * 10_001)])  # fmt: skip
def test_a_caption_that_no_scan_would_take_is_not_written(toys: Path, how: CaptionOptions) -> None:
    (toys / "toys/bunny/1.txt").unlink()
    with pytest.raises(BenchError, match=r"the caption of .*1\.png has \d\d,\d+ characters"):
        write(toys, how)
    assert not list(toys.rglob("1.*t*"))


def test_prompts_have_a_bound_and_all_longer_ones_are_named(tmp_path: Path) -> None:
    file = tmp_path / "alter.txt"
    file.write_text(f"{LONG}\n")
    found = prompt_set(tmp_path, TOY, "alter", BUNNY, [])
    assert found and found.prompts == (LONG,)
    file.write_text(f"# mine\n{LONG}b\n{{}} in snow\n\n{LONG * 2}\n")
    with pytest.raises(PromptError) as error:
        prompt_set(tmp_path, TOY, "alter", BUNNY, [])
    assert str(error.value) == (
        f"{file}: line 2 has 10,001 characters; at most 10,000 are allowed; "
        "line 5 has 20,000 characters; at most 10,000 are allowed"
    )
    file.write_text("{}" * 4000)
    with pytest.raises(PromptError, match="with its words in it, has 32,000 characters"):
        prompt_set(tmp_path, TOY, "alter", BUNNY, [])


def test_a_file_has_so_many_prompts_and_no_more(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(prompt_types, "MOST_PROMPTS", 3)
    (tmp_path / "alter.txt").write_text("# mine\n{} a\n\n{} b\n{} c\n")
    found = prompt_set(tmp_path, TOY, "alter", BUNNY, [])
    assert found and len(found.prompts) == 3
    (tmp_path / "alter.txt").write_text("{} a\n{} b\n{} c\n{} d\n")
    with pytest.raises(PromptError, match=r"alter.txt has 4 prompts; at most 3 are allowed"):
        prompt_set(tmp_path, TOY, "alter", BUNNY, [])


@pytest.mark.parametrize(
    "place", ["{name}", "{0}", "{ }", "{{x}}", "{red hat}", "[Trigger]", "[ trigger ]"]
)
def test_what_stands_for_nothing_is_named_with_its_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "style.txt").write_text(f"{{}} in ink\n[trigger] and {place} in snow\n")
    with pytest.raises(PromptError, match=r"style.txt: line 2 holds .*; only \{\} and \[trigger\]"):
        prompt_set(tmp_path, TOY, "style", BUNNY, [])


def test_of_many_mistakes_the_first_are_shown(tmp_path: Path) -> None:
    (tmp_path / "alter.txt").write_text("{0}\n" * 12)
    with pytest.raises(PromptError, match=r"line 5 holds \{0\}; only .*; and 7 more$"):
        prompt_set(tmp_path, TOY, "alter", BUNNY, [])


def test_other_brackets_are_the_prompts_own(tmp_path: Path) -> None:
    (tmp_path / "alter.txt").write_text("({}:1.2) [blurry] :} {}\n")
    found = prompt_set(tmp_path, TOY, "alter", BUNNY, [])
    assert found and found.prompts == ("(olis toy:1.2) [blurry] :} olis toy",)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "olis",
            "ol\\nis",
            "trigger is 'ol\\\\nis'; one line without control characters is allowed",
        ),
        ("olis", "ol\\u001bis", "trigger is .*; one line without control"),
        ("olis", "{}", r"trigger holds \{\}, which stands for it in prompts"),
        ('"toy"', '"[trigger] toy"', r"class_word holds \[trigger\]"),
        ("bunny toy", "a {} toy", r"description holds \{\}"),
        ("bunny toy", "b" * 1001, "description has 1,001 characters; at most 1,000 are allowed"),
    ],
)
def test_words_fit_into_a_prompt(tmp_path: Path, old: str, new: str, said: str) -> None:
    (tmp_path / "concepts.toml").write_text(TABLE.replace(old, new))
    with pytest.raises(PromptError, match=f"toys/bunny: {said}"):
        concept_words.read_words(tmp_path, [TOY])


@pytest.mark.parametrize("text", ["", "# a remark\n"])
def test_an_empty_table_says_what_is_needed(tmp_path: Path, text: str) -> None:
    (tmp_path / "concepts.toml").write_text(text)
    with pytest.raises(
        PromptError, match=r"concepts.toml is empty; it names each concept, like \["
    ):
        concept_words.read_words(tmp_path, [TOY])


@pytest.mark.parametrize("value", ["2.5", "-1", "nan", "inf", "2020-01-01", "[]", "{}"])
def test_wrong_counts_are_named_whichever_is_asked_for(tmp_path: Path, value: str) -> None:
    """`images` is read where the images are not there: it is checked where they are, too."""
    text = f"{TABLE}images = {value}\n" + TABLE.replace('bunny"', 'frog"') + "repeats = 0\n"
    (tmp_path / "concepts.toml").write_text(text)
    for key in ("images", "repeats"):
        with pytest.raises(PromptError) as error:
            concept_words.numbers(concept_words.concept_table(tmp_path)[1], key)
        assert "toys/bunny: images is " in str(error.value)
        assert "toys/frog: repeats is 0; a number from 1 to 10000 is" in str(error.value)
