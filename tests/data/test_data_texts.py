"""Texts that users write, as their editors save them: all are read alike, or named."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from lycoris_bench.data.captioning import tags
from lycoris_bench.data.dataset import scan
from lycoris_bench.data.images import DataError
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.planning.resolve import captioned
from lycoris_bench.study import concept_words, prompt_types
from lycoris_bench.study.concept_words import PromptError
from lycoris_bench.study.prompt_types import Words
from lycoris_bench.study.records import Concept
from tests.support.world import tiny

BUNNY, TOY = Words("olis", "toy", "bunny toy"), Concept("toys", "bunny")
TABLE = '["toys/bunny"]\ntrigger = "olis"\nclass_word = "toy"\ndescription = "bunny toy"\n'
AS_SAVED = {
    "plain": lambda text: text.encode(),
    "mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "UTF-16": lambda text: b"\xff\xfe" + text.encode("utf-16-le"),
    "UTF-16 BE": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "Windows": lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
    "old Mac": lambda text: text.replace("\n", "\r").encode(),
}


@pytest.fixture(params=AS_SAVED)
def save(request):
    def write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(AS_SAVED[request.param](text))

    return write


def test_every_text_is_read_as_any_editor_saves_it(save, tmp_path):
    """The mark is no part of a prompt, nor does it turn a comment into one; U+2028 ends no line."""
    save(tmp_path / "alter.txt", "# why\n{} on a\u2028beach\n\n{} in snow")
    found = prompt_types.prompt_set(tmp_path, TOY, "alter", BUNNY, [])
    assert found.prompts == ("olis toy on a beach", "olis toy in snow")
    save(tmp_path / "concepts.toml", TABLE)
    assert concept_words.read_words(tmp_path, [TOY]) == {TOY: BUNNY}
    save(tmp_path / "tags.toml", '"toys/*" = ["hat"]\n')
    assert tags.removed(tmp_path / "tags.toml") == {"toys/*": ["hat"]}
    save(tmp_path / "selected_tags.csv", "name,category\nlong_hair,0\nhero,4\n")
    assert tags.labels(tmp_path / "selected_tags.csv") == ["long hair", None]
    data = tmp_path / "data"
    save(data / "toys/bunny/1.txt", "olis toy,\nred")
    for k in (1, 2):
        Image.new("RGB", (2, 2)).save(data / f"toys/bunny/{k}.png")
    entry = {"file_name": "toys/bunny/2.png", "text": "ölis toy"}
    save(data / "metadata.jsonl", json.dumps(entry, ensure_ascii=False) + "\n")
    assert [e.caption for e in scan(data).examples] == ["olis toy, red", "ölis toy"]


def test_texts_that_are_none_are_named_all_at_once(tree):
    folder = tree({f"toys/bunny/{k}.png": ("x", (2, 2)) for k in range(1, 7)})
    bunny = folder / "toys/bunny"
    (bunny / "1.txt").write_bytes("caf\xe9".encode("latin-1"))
    (bunny / "2.txt").write_bytes(b"\xff\xfe\xff")
    (bunny / "3.txt").write_bytes(b"a\0b")
    for k in (4, 5):
        (bunny / f"{k}.txt").unlink()
    (bunny / "4.txt").mkdir()
    os.mkfifo(bunny / "5.txt")
    with pytest.raises(DataError) as caught:
        scan(folder)
    said = "; ".join(caught.value.problems)
    for words in (
        "caption toys/bunny/1.txt is not UTF-8 text (byte 3); save it as UTF-8",
        "caption toys/bunny/2.txt is not UTF-16-LE text",
        "caption toys/bunny/3.txt holds NUL characters",
        "toys/bunny/4.txt is a folder in the place of a file",
        "toys/bunny/5.txt is a pipe",
    ):
        assert words in said


@pytest.fixture
def tree(tmp_path):
    def write(files):
        for name, (caption, size) in files.items():
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size).save(path)
            path.with_suffix(".txt").write_text(caption)
        return tmp_path / "data"

    return write


def test_metadata_of_odd_lines_is_named(tree):
    folder = tree({f"toys/a/{k}.png": ("own", (2, 2)) for k in (1, 2)})
    lines = [
        '{"file_name": "toys/a/1.png", "text": "\\ud800"}',
        '{"file_name": "toys/a/1.png", "text": "a\\u0000"}',
        '{"file_name": "toys/a/2.png", "text": "one"}',
        '{"file_name": "toys/a/2.png", "text": "two"}',
        "[" * 100_000,
        '{"file_name": "toys/a/2.png", "text": 1' + "0" * 5000 + "}",
    ]
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    with pytest.raises(DataError) as caught:
        scan(folder)
    assert caught.value.problems == [
        "metadata.jsonl, line 1: 'text' is not text",
        "metadata.jsonl, line 2: 'text' is not text",
        "metadata.jsonl, line 4: toys/a/2.png is named twice",
        *(
            f'metadata.jsonl, line {k}: needed is {{"file_name": "1.png", "text": "..."}}'
            for k in (5, 6)
        ),
    ]


def test_the_nearest_metadata_goes_first(tree):
    folder = tree({f"{category}/a/1.png": ("own", (2, 2)) for category in ("apes", "toys")})
    for category in ("apes", "toys"):  # whether the name sorts before "metadata.jsonl" or after it
        (folder / category / "a/metadata.jsonl").write_text(
            '{"file_name": "1.png", "text": "near"}'
        )
    (folder / "metadata.jsonl").write_text(
        '{"file_name": "apes/a/1.png", "text": "far"}\n{"file_name": "toys/a/1.png", "text": "far"}'
    )
    assert [e.caption for e in scan(folder).examples] == ["near", "near"]


def test_many_missing_captions_are_one_sentence_that_says_what_to_type(tree, tmp_path):
    folder = tree({f"toys/bunny/{k}.png": ("x", (2, 2)) for k in range(1, 9)})
    for path in list(folder.rglob("*.txt"))[:7]:
        path.unlink()
    missing = [k for k in range(1, 9) if not (folder / f"toys/bunny/{k}.txt").exists()]
    some = ", ".join(f"toys/bunny/{k}.txt" for k in missing[:3])
    with pytest.raises(DataError) as caught:
        scan(folder, words=tmp_path / "my tree")
    assert caught.value.problems == [
        f"7 of 8 captions are missing: {some} and 4 more; to have them written, type: "
        f"lycoris-bench caption {folder} --words '{tmp_path}/my tree'"
    ]
    (folder / "concepts.toml").write_text(TABLE)
    with pytest.raises(DataError, match=r"--strategy none --extension \.mine$"):
        scan(folder, captions=False).recaptioned(folder, ".mine")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('"toys/bunny" = 3', "toys/bunny is 3; a table is needed"),
        (TABLE.replace('["toys/bunny"]', "[toys.bunny]"), r'not \["toys/bunny"\], which is needed'),
        (TABLE + "subclass_words = 4", "toys/bunny: subclass_words must be text"),
        (TABLE.replace("olis", "").replace('"toy"', '" "'), "are both empty"),
        ("[" * 5000, "nested too deeply|cannot be read as TOML"),
        (TABLE + "images = " + "9" * 5000, "cannot be read as TOML"),
    ],
)
def test_a_table_of_another_form_is_a_sentence(tmp_path, table, said):
    (tmp_path / "concepts.toml").write_text(table)
    with pytest.raises(PromptError, match=said):
        concept_words.read_words(tmp_path, [TOY])


@pytest.mark.parametrize("value", ["0", "-1", "true", "1.5", '"7"', "1000000000"])
@pytest.mark.parametrize("key", ["images", "repeats"])
def test_counts_have_bounds(tmp_path, key, value):
    (tmp_path / "concepts.toml").write_text(f'["toys/bunny"]\n{key} = {value}\n')
    with pytest.raises(PromptError, match=f"toys/bunny: {key} is .*a number from 1 to 10"):
        concept_words.numbers(concept_words.concept_table(tmp_path)[1], key)


def test_names_agree_in_whichever_unicode_form(tree, tmp_path):
    apart, whole = "de\u0301ja\u0300", "d\u00e9j\u00e0"
    folder = tree({f"toys/{apart}/1.png": ("x", (2, 2))})
    data = scan(folder)
    (folder / "concepts.toml").write_text(TABLE.replace("bunny", apart), encoding="utf-8")
    assert concept_words.read_words(folder, data.concepts)[Concept("toys", whole)].trigger == "olis"
    for place in (apart, whole):
        alter = tmp_path / f"tree {place}/toys/{place}/alter.txt"
        alter.parent.mkdir(parents=True)
        alter.write_text("{} near")
        found = prompt_types.prompt_set(alter.parents[2], data.concepts[0], "alter", BUNNY, [])
        assert found.prompts == ("olis toy near",)


def test_a_published_tree_says_what_the_main_captions_draw_alone(tree, tmp_path):
    """Its train.txt stands for 1.txt; a configuration with captions of its own draws those, or
    what the tree says of them."""
    folder = tree({"toys/bunny/1.png": ("olis toy, main", (2, 2))})
    (folder / "toys/bunny/1.no-tags").write_text("olis toy")
    (folder / "toys/bunny/1.all-tags").write_text("olis toy, a, b")
    (folder / "concepts.toml").write_text(TABLE)
    for name, text in (("train", "{}, published"), ("train.all-tags", "{}, all published")):
        (tmp_path / f"tree/{name}.txt").parent.mkdir(exist_ok=True)
        (tmp_path / f"tree/{name}.txt").write_text(text)
    lora = {"lr": 1e-3, "dim": 2, "alpha": 1, "vary": [
        {"captions": ".no-tags"}, {"captions": ".all-tags"}
    ]}  # fmt: skip
    study = tiny(
        dataset=str(folder), prompts=str(tmp_path / "tree"), concepts=["toys/bunny"],
        sampling={"prompt_types": ["train"]}, algorithms={"lora": lora},
    )  # fmt: skip
    drawn = {
        extension: [prompts for one in found.prompt_sets for prompts in one.prompts]
        for extension, found in captioned(study, None).items()
    }
    assert drawn == {
        "": ["olis toy, published"],
        ".no-tags": ["olis toy"],
        ".all-tags": ["olis toy, all published"],
    }


def test_all_errors_are_meant_to_be_read():
    assert issubclass(PromptError, BenchError) and issubclass(tags.TagError, BenchError)
