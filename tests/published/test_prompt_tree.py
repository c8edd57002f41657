"""The authors' prompts as a tree: read back, they are the same; rewritten, their own texts."""

import re
from collections import Counter
from pathlib import Path

import pytest

from lycoris_bench.published import outputs
from lycoris_bench.published.checkout import Clone
from lycoris_bench.published.prompt_tree import concepts, prompt_files
from lycoris_bench.published.renames import PROMPT_FILES, PublishedError
from lycoris_bench.study.concept_words import read_words
from lycoris_bench.study.prompt_types import assignment, prompt_set
from lycoris_bench.study.records import Concept

HERO = Concept("anime characters", "hero", "wux outfit")
FROG = Concept("stuffed toys", "plushie_frog")


def test_a_tree_by_hand(clone: Path, tmp_path: Path) -> None:
    tree = tmp_path / "prompts"
    outputs.write(prompt_files(Clone(clone), tree)[1])
    words = read_words(tmp_path / "no dataset", [HERO, FROG], tree)
    assert words[FROG].descriptor == "zzq stuffed toy, red hat"
    found = prompt_set(tree, FROG, "alter", words[FROG], [])
    assert found.prompts[1] == "A fox beside the zzq stuffed toy, red hat"
    assert found.texts[1] == "A fox beside the frog stuffed toy, red hat"
    found = prompt_set(tree, HERO, "train", words[HERO], [])
    assert found.prompts == ("kev anime girl, wux outfit, smiling",)
    assert found.texts == ("anime girl, smiling",)
    found = prompt_set(tree, HERO, "style", words[HERO], [])
    assert found.texts == ("anime girl as a fresco",)
    dots = Concept("styles", "dots")
    words = read_words(tmp_path / "no dataset", [dots], tree)
    assert prompt_set(tree, dots, "train", words[dots], []).texts == ("a city",)  # no "of" left
    assert prompt_set(tree, dots, "style", words[dots], []) is None
    assert "{} under a bridge" in (tree / "stuffed toys/plushie_frog/alter.txt").read_text()


@pytest.mark.parametrize(("damage", "said"), [
    (lambda root: (root / "token_mapping.csv").unlink(), "holds no token_mapping.csv: it says"),
    (lambda root: (root / "token_mapping.csv").write_text("dots,vvo style\n"), "does not say what"),
    (lambda root: (root / "token_mapping.csv").write_text(
        "plushie_frog,a toy\nhero,b girl\ndots,c style\n"), "does not begin with 'b girl'"),
])  # fmt: skip
def test_missing_words_are_a_sentence(clone: Path, tmp_path: Path, damage, said: str) -> None:
    damage(clone)
    with pytest.raises(PublishedError, match=said):
        prompt_files(Clone(clone), tmp_path / "prompts")


# ---- the authors' own: where our rule and their texts differ, and why

REASONS = {  # of the 2093 different (prompt, text) pairs that the 39 concepts draw
    "same": 1983,
    "a comma is left where an outfit's word or the last tag was": 72,
    "a trigger is replaced inside a word": 12,
    "the tortoise's trigger is not replaced": 26,
}
INSIDE = {
    "lcastlee": "ladle",
    "drecastleocks": "dreadlocks",
    "tortoisest": "waist",
    "stert": "blunt",
}


def reason(prompt: str, ours: str, theirs: str) -> str:
    """Why a text of theirs is not ours: undone, it has to be."""
    same, comma, inside, tortoise = REASONS
    if ours == theirs:
        return same
    if bare(ours) == bare(theirs):
        return comma
    if "waj" in theirs and theirs.replace("waj", "tortoise") == ours:
        return tortoise  # their table of words says "wai"
    for wrong, word in INSIDE.items():
        theirs = theirs.replace(wrong, word)
    assert ours == theirs, prompt
    return inside


def bare(text: str) -> str:
    return re.sub(r"[\s,]+", " ", text).strip()


def test_every_prompt_and_text_of_the_authors(published: Path, imported: Path) -> None:
    """Image k of a set has the prompt of theirs, and the text but for the reasons above."""
    tree = imported / "prompts"
    folders = concepts(published / "prompts/eval_prompts")
    words = read_words(tree, list(folders))
    assert len(words) == 39
    pairs: set[tuple[Concept, str, str, str]] = set()
    with_style = 0
    for concept, folder in folders.items():
        for kind, name in PROMPT_FILES.items():
            made = prompt_set(tree, concept, kind, words[concept], [])
            if made is None:
                continue
            with_style += kind == "style"
            lines = (folder / name).read_text().splitlines()
            assert list(made.prompts) == [line.strip() for line in lines if line.strip()]
            theirs = (folder / f"{name}-eval").read_text().splitlines()[:100]
            for place, text in zip(assignment(100, len(made.prompts)), theirs, strict=True):
                pairs.add((concept, made.prompts[place], made.texts[place], text))
    assert with_style == 32
    assert Counter(reason(*pair) for _, *pair in pairs) == REASONS
