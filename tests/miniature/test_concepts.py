"""The shipped dataset is what the table says, and the base model cannot know it."""

import hashlib
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lycoris_bench.miniature.concepts import build
from lycoris_bench.miniature.concepts.table import CONCEPTS
from lycoris_bench.miniature.world.words import TRIGGERS, world_words

HOME = Path(build.__file__).parents[1]
PROMPTS = Path(__file__).parents[2] / "prompts" / "miniature"
RECORDS = tomllib.loads((HOME / "dataset" / "concepts.toml").read_text())


def _folders(split: str) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for file in sorted((HOME / split).rglob("*.png")):
        found.setdefault(file.parent.relative_to(HOME / split).as_posix(), []).append(file)
    return found


def _read(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def test_records_cover_all_folders():
    assert set(RECORDS) == set(_folders("dataset")) == set(_folders("heldout"))
    assert len(RECORDS) == 39


def test_counts_are_imbalanced_as_promised():
    counts = {k: len(v) for k, v in _folders("dataset").items()}
    assert counts == {c.key: c.count for c in CONCEPTS}
    by = {
        n: sorted((v for k, v in counts.items() if k.startswith(n + "/")), reverse=True)
        for n in ("characters", "media-characters", "styles", "toys", "scenes")
    }
    assert by["toys"] == [12, 10, 10, 7, 7, 7] and by["scenes"] == [9, 7, 5, 5, 4]
    assert [len(v) for v in by.values()] == [9, 12, 7, 6, 5]
    assert min(min(v) for v in by.values()) == 4


def test_every_class_has_its_own_trigger():
    owner: dict[str, str] = {}
    for key, record in RECORDS.items():
        name = "/".join(key.split("/")[:2])
        assert owner.setdefault(record["trigger"], name) == name
    assert len(owner) == len({"/".join(k.split("/")[:2]) for k in RECORDS})
    descriptors = {(r["trigger"], r.get("subclass_words")) for r in RECORDS.values()}
    assert len(descriptors) == 39


def test_triggers_are_single_unused_tokens(base):
    used = {
        w
        for r in RECORDS.values()
        for w in (r["trigger"], r.get("subclass_words", "").split(",")[0])
    }
    unknown = {w.split()[0] for w in used if w} - set(world_words())
    assert len(unknown) >= 30 and unknown <= set(TRIGGERS)
    assert not set(TRIGGERS) & set(world_words())
    for word in (*TRIGGERS, *world_words()):
        assert len(base.tokenizer(word).input_ids) == 3, word


def test_captions_start_with_the_descriptor():
    for key, record in RECORDS.items():
        descriptor = f"{record['trigger']} {record['class_word']}"
        if "subclass_words" in record:
            descriptor += f", {record['subclass_words']}"
        for file in sorted((HOME / "dataset" / key).glob("*.txt")):
            assert file.read_text().startswith(descriptor + ","), file
            assert file.with_suffix(".png").exists()


@pytest.mark.parametrize("concept", CONCEPTS[::4], ids=lambda c: c.key)
def test_shipped_pictures_are_what_the_code_renders(concept):
    for split, held in (("dataset", False), ("heldout", True)):
        shown = build.picture(concept, 2, held)
        shipped = _read(HOME / split / concept.key / "0003.png")
        assert np.array_equal(shipped, np.asarray(shown.image))
    text = (HOME / "dataset" / concept.key / "0003.txt").read_text().strip()
    assert text == build.caption(concept, build.picture(concept, 2).tags)


def test_held_out_pictures_are_new():
    seen = {
        k: {hashlib.sha256(_read(f)).digest() for f in v} for k, v in _folders("dataset").items()
    }
    for key, files in _folders("heldout").items():
        digests = {hashlib.sha256(_read(f)).digest() for f in files}
        assert len(digests) == len(files) == build.HELD_OUT
        assert not digests & seen[key], key


def test_some_pictures_are_not_square():
    sizes = {_read(f).shape[1::-1] for v in _folders("dataset").values() for f in v}
    assert sizes == {(64, 64), (64, 80), (56, 72), (80, 64), (72, 56)}


def test_prompt_files():
    def lines(file: Path) -> list[str]:
        return [x for x in file.read_text().splitlines() if x and not x.startswith("#")]

    words, styles = set(world_words()), lines(PROMPTS / "style.txt")
    assert len(styles) == 5
    for category in {k.split("/")[0] for k in RECORDS}:
        assert len(lines(PROMPTS / category / "alter.txt")) == 10
    named = {"boy", "girl", "robot", "toy", "scene", "style"}  # the class words
    assert not named & set(" ".join(lines(PROMPTS / "unrelated.txt")).replace(",", "").split())
    places = {"agnostic": 0, "unrelated": 0, "compose": 2}
    for file in PROMPTS.rglob("*.txt"):
        prompts = lines(file)
        assert len(set(prompts)) == len(prompts) >= 4
        for prompt in prompts:
            assert prompt.count("{}") == places.get(file.stem, 1), (file, prompt)
            assert set(prompt.replace("{}", "").replace(",", "").split()) <= words, (file, prompt)
