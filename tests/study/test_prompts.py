"""Prompt files, sharing of images among prompts, and the rewriting for CLIP."""

from pathlib import Path

import pytest

from lycoris_bench.planning.plan import plan
from lycoris_bench.study import concept_words, prompt_types
from lycoris_bench.study.concept_words import PromptError
from lycoris_bench.study.records import Concept
from lycoris_bench.study.wording import Words
from tests.support.world import tiny

BUNNY = Words("olis", "toy", "bunny toy")
TOY = Concept("toys", "bunny")


@pytest.mark.parametrize("images", [1, 4, 10, 100])
@pytest.mark.parametrize("count", [1, 3, 7, 100, 120])
def test_shares_are_even_and_the_earlier_take_the_rest(images: int, count: int) -> None:
    dealt = [0] * count  # dealing cards, round by round
    for k in range(images):
        dealt[k % count] += 1
    assert prompt_types.shares(images, count) == dealt
    assigned = prompt_types.assignment(images, count)
    assert assigned == sorted(assigned)
    assert [assigned.count(p) for p in range(count)] == dealt


def test_no_prompt_is_an_error() -> None:
    with pytest.raises(ValueError, match="no prompt"):
        prompt_types.shares(4, 0)


def test_the_nearest_file_wins(tmp_path: Path) -> None:
    (tmp_path / "toys/bunny").mkdir(parents=True)
    (tmp_path / "alter.txt").write_text("{} far\n")
    assert prompt_types.prompt_set(tmp_path, TOY, "alter", BUNNY, []).prompts == ("olis toy far",)
    (tmp_path / "toys/bunny/alter.txt").write_text("# why\n\n{} near\n  [trigger] by a tree \n")
    found = prompt_types.prompt_set(tmp_path, TOY, "alter", BUNNY, [])
    assert found.prompts == ("olis toy near", "olis toy by a tree")
    assert found.texts == ("bunny toy near", "bunny toy by a tree")


def test_train_prompts_are_the_captions_and_trigger_the_descriptor(tmp_path: Path) -> None:
    captions = ["olis toy, beach", "olis toy, night", "olis toy, beach"]
    found = prompt_types.prompt_set(tmp_path, TOY, "train", BUNNY, captions)
    assert found.prompts == ("olis toy, beach", "olis toy, night")
    assert found.texts == ("bunny toy, beach", "bunny toy, night")
    assert prompt_types.prompt_set(tmp_path, TOY, "trigger", BUNNY, captions).prompts == (
        "olis toy",
    )


def test_class_word_prompts_are_the_alter_prompts_without_the_trigger(tmp_path: Path) -> None:
    (tmp_path / "alter.txt").write_text("{} far\n[trigger] by a tree\n")
    of_class = prompt_types.prompt_set(tmp_path, TOY, "class-word", BUNNY, [])
    assert of_class.prompts == of_class.texts == ("toy far", "toy by a tree")
    hat = Words("gerr", "boy", "boy", "bald, photo")
    found = prompt_types.prompt_set(tmp_path, TOY, "class-word", hat, [])
    assert found.prompts == ("boy far", "boy by a tree")  # nor the words of the sub-class
    (tmp_path / "class-word.txt").write_text("a {} alone\n")
    found = prompt_types.prompt_set(tmp_path, TOY, "class-word", BUNNY, [])
    assert found.prompts == ("a toy alone",)


def test_without_trigger_or_class_word_there_is_nothing_to_leave_out(tmp_path: Path) -> None:
    """Where the class word alone names the concept it asks for it; a bare trigger has no class."""
    (tmp_path / "alter.txt").write_text("{} far\n")
    for words in (Words("", "dog", "terrier"), Words("sks", "", "terrier")):
        assert prompt_types.prompt_set(tmp_path, TOY, "class-word", words, []) is None


def test_image_k_has_one_seed_and_one_prompt_with_and_without_the_trigger() -> None:
    asked = plan(tiny(
        sampling={"images": 4, "prompt_types": ["alter", "class-word", "unrelated", "agnostic"]},
    ))  # fmt: skip
    jobs = {
        (job.image_set.concept, job.image_set.prompt_type, job.k): job
        for job in asked.jobs(asked.checkpoints[1])
    }
    for (concept, kind, k), job in jobs.items():
        with_trigger = jobs[concept, "alter", k]
        assert job.seed == with_trigger.seed
        if kind == "class-word":
            trigger = with_trigger.prompt.split(" toy")[0].split()[-1]
            assert job.prompt == with_trigger.prompt.replace(f"{trigger} ", "")
    assert len(jobs) == 2 * 4 * 4


def test_styles_have_no_style_prompts(tmp_path: Path) -> None:
    words = Words("rps", "style", "", kind="style")
    assert prompt_types.prompt_set(tmp_path, Concept("looks", "dots"), "style", words, []) is None


@pytest.mark.parametrize("content", [None, "", "# only a remark\n"])
def test_a_missing_or_empty_prompt_file_is_one_sentence(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "alter.txt").write_text(content)
    with pytest.raises(PromptError, match=r"alter\.txt.*a? ?prompt.*\{\} for the concept"):
        prompt_types.prompt_set(tmp_path, TOY, "alter", BUNNY, [])


def test_an_unreadable_prompt_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "alter.txt").write_bytes(b"\xff\xfe{}\xff")
    with pytest.raises(PromptError, match="alter.txt is not UTF-16-LE text"):
        prompt_types.prompt_set(tmp_path, TOY, "alter", BUNNY, [])


def test_the_concept_table_reports_every_mistake_at_once(tmp_path: Path) -> None:
    (tmp_path / "concepts.toml").write_text(
        '["toys/bunny"]\ntrigger = "olis"\nclass_word = "toy"\ndescrption = "bunny"\n'
        '["toys/lobstr"]\ntrigger = "lun"\nclass_word = "toy"\ndescription = "lobster"\n'
    )
    with pytest.raises(PromptError) as error:
        concept_words.read_words(tmp_path, [TOY, Concept("toys", "lobster")])
    assert "did you mean 'description'?" in str(error.value)
    assert "did you mean 'toys/lobstr'?" in str(error.value)


@pytest.mark.parametrize("content", [None, b"\xff", b"= 3"])
def test_a_missing_or_broken_concept_table(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "concepts.toml").write_bytes(content)
    with pytest.raises(PromptError, match=r"concepts\.toml (is missing|cannot be|is not UTF-8)"):
        concept_words.read_words(tmp_path, [TOY])
