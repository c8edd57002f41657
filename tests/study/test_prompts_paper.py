"""prompts/paper: 39 concepts, the paper's numbers of prompts and images, its names and triggers,
and no sentence of the authors'."""

import csv
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from lycoris_bench.data.dataset import OTHERS, declared
from lycoris_bench.study import concept_words, prompt_types
from lycoris_bench.study.places import locate
from lycoris_bench.study.records import Concept, PromptSet
from lycoris_bench.study.wording import Words

TREE = locate("package:prompts/paper", Path())
PUBLISHED = Path(os.environ.get("LYCORIS_BENCH_PUBLISHED", "") or "nowhere")
needed = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="LYCORIS_BENCH_PUBLISHED names no published data"
)
CATEGORIES = {
    "anime": "anime characters", "people": "movie characters", "scene": "scenes",
    "stuffed_toy": "stuffed toys", "style": "styles",
}  # fmt: skip
TYPES = ("train", "trigger", "alter", "style")


@pytest.fixture(scope="module")
def counts() -> dict[Concept, int]:
    return concept_words.numbers(concept_words.concept_table(TREE)[1], "images")


@pytest.fixture(scope="module")
def words(counts: dict[Concept, int]) -> dict[Concept, Words]:
    return concept_words.read_words(TREE, [c for c in counts if c.subclass != OTHERS])


@pytest.fixture(scope="module")
def sets(words: dict[Concept, Words]) -> list[PromptSet]:
    made = [
        prompt_types.prompt_set(TREE, concept, kind, words[concept], ["a caption"])
        for concept in words
        for kind in TYPES
    ]
    return [found for found in made if found]


def test_the_papers_numbers_of_images(counts: dict[Concept, int]) -> None:
    """D.1, with the repeats that balancing gives: 5 560 images an epoch."""
    by_category = Counter[str]()
    for concept, images in counts.items():
        by_category[concept.category] += images
    assert by_category == {
        "anime characters": 571, "movie characters": 276, "styles": 776, "stuffed toys": 53,
        "scenes": 30,
    }  # fmt: skip
    assert sum(declared(counts, (512, 512)).repeats(200)) == 5560


def test_every_concept_has_its_prompts(words: dict[Concept, Words], sets: list[PromptSet]) -> None:
    assert len(words) == 39
    kinds = Counter(s.prompt_type for s in sets)
    assert kinds == {"train": 39, "trigger": 39, "alter": 39, "style": 32}
    images = sum(len(prompt_types.assignment(100, len(s.prompts))) for s in sets)
    assert images == 14_900
    lengths = {kind: {len(s.prompts) for s in sets if s.prompt_type == kind} for kind in kinds}
    assert lengths == {"train": {1}, "trigger": {1}, "alter": {10}, "style": {5}}


def test_templates_one_for_each_kind_and_one_for_other_scenes() -> None:
    templates = {path: lines(path) for path in TREE.rglob("alter.txt")}
    assert len(templates) == 9
    written = [line for template in templates.values() for line in template]
    assert len(written) == len(set(written)) == 90
    assert all(line.count("{}") == 1 for line in [*written, *lines(TREE / "style.txt")])


def test_clip_reads_no_trigger_and_nothing_dangling(
    words: dict[Concept, Words], sets: list[PromptSet]
) -> None:
    for found in sets:
        own = words[found.concept]
        invented = [own.trigger, *re.findall(r"\w+(?= outfit)", own.subclass_words)]
        for text in found.texts:
            assert not set(re.findall(r"\w+", text)) & set(invented), text
            assert text == text.strip(" ,") and ", ," not in text and "  " not in text
            if found.prompt_type == "alter" and found.concept.category != "styles":
                assert own.description in text


def test_agnostic_prompts_name_no_trigger(words: dict[Concept, Words]) -> None:
    """Half of each category's with a class word of it, half without."""
    triggers = {own.trigger for own in words.values()}
    for category in {concept.category for concept in words}:
        class_words = {own.class_word for c, own in words.items() if c.category == category}
        written = lines(TREE / category / "agnostic.txt")
        named = [any(word in line for word in class_words) for line in written]
        assert named == [True] * 5 + [False] * 5, category
        assert not triggers & set(re.findall(r"\w+", " ".join(written)))
        assert not any("{}" in line for line in written)


def test_unrelated_prompts_name_no_concept_and_class_words_only_the_class(
    words: dict[Concept, Words],
) -> None:
    own = {re.escape(word) for w in words.values() for word in (w.trigger, w.class_word) if word}
    anywhere = re.compile(rf"\b({'|'.join(own)})s?\b")
    written = lines(TREE / "unrelated.txt")
    assert len(set(written)) == 10 and not [line for line in written if anywhere.search(line)]
    for concept, named in words.items():
        found = prompt_types.prompt_set(TREE, concept, "class-word", named, [])
        assert found is not None and len(found.prompts) == 10
        assert all(named.class_word in prompt for prompt in found.prompts)
        assert not any(named.trigger in prompt.split() for prompt in found.prompts)


@needed
def test_names_and_triggers_are_the_authors(words: dict[Concept, Words]) -> None:
    """Their folders and descriptors, so that a run of one's own can be laid beside theirs."""
    root = PUBLISHED / "prompts/eval_prompts"
    theirs = {}
    for path in root.rglob("triggeronly.txt"):
        category, *rest = path.parent.relative_to(root).parts
        theirs[Concept(CATEGORIES[category], *rest)] = path.read_text().strip()
    assert {concept: own.descriptor for concept, own in words.items()} == theirs
    rows = csv.reader((PUBLISHED / "token_mapping.csv").read_text().splitlines())
    assert {row[1].split()[0] for row in rows} == {own.trigger for own in words.values()}


@needed
def test_no_sentence_is_the_authors() -> None:
    def plain(line: str) -> str:
        return " ".join(re.findall(r"\w+", line.replace("{}", "").lower()))

    files = [p for p in (PUBLISHED / "prompts").rglob("*.txt*") if "triggeronly" not in p.name]
    theirs = {
        plain(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()
    }
    ours = {plain(line) for path in TREE.rglob("*.txt") for line in lines(path)}
    assert (
        len(theirs) > 1000 and len(ours) == 90 + 5 + 25 + 5 + 5 + 20 + 19
    )  # 24 styles to evaluate by, 5 of them above
    assert not ours & theirs
    endings = {ending for line in theirs for ending in (line[k:] for k in range(len(line)))}
    assert not ours & endings  # nor any of theirs with their trigger in front


def lines(path: Path) -> list[str]:
    written = path.read_text(encoding="utf-8").splitlines()
    return [line for line in written if line.strip() and not line.startswith("#")]
