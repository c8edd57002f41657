"""The other forms of a dataset: kohya's folders, the hub's metadata, other captions, a table."""

import json

import pytest

from lycoris_bench.data.dataset import Dataset, declared, scan
from lycoris_bench.data.images import DataError
from lycoris_bench.study.records import Concept

BUNNY = Concept("toys", "bunny")


def test_repeats_of_kohyas_folders_come_from_the_name(tree):
    folder = tree(
        {
            "toys/29_bunny/1.png": ("olis toy", (2, 2)),
            "toys/29_bunny/2.png": ("olis toy, red", (2, 2)),
            "toys/lobster/1.png": ("lun toy", (2, 2)),
            "people/saw/4_bald, 3d/1.png": ("fck man, bald, 3d", (2, 2)),
            "20_waj toy/1.png": ("waj toy", (2, 2)),
            "people/0_zero/1.png": ("no repeats: a plain name", (2, 2)),
        }
    )
    data = scan(folder)
    found = {str(e.concept): times for e, times in zip(data.examples, data.repeats(6), strict=True)}
    assert found == {
        "concepts/waj toy": 20,
        "people/0_zero": 6,
        "people/saw/bald, 3d": 4,
        "toys/bunny": 29,
        "toys/lobster": 6,
    }
    assert len(data.of(BUNNY)) == 2


def test_repeats_are_part_of_what_is_trained(tree, tmp_path):
    folder = tree({"toys/bunny/1.png": ("olis toy", (2, 2))})
    balanced = scan(folder).fingerprint
    (folder / "toys/bunny").rename(folder / "toys/3_bunny")
    assert scan(folder).concepts == [BUNNY]
    assert scan(folder).fingerprint != balanced


def test_repeats_of_the_table_win(tree):
    data = scan(tree({"toys/29_bunny/1.png": ("a", (2, 2)), "toys/owl/1.png": ("b", (2, 2))}))
    assert data.repeating({BUNNY: 7}).repeats(200) == [7, 200]
    assert data.repeating({}).repeats(200) == [29, 200]


def test_a_flat_folder_with_folders_of_images_and_folders_is_a_mistake(tree):
    folder = tree({"20_waj/1.png": ("a", (2, 2)), "20_waj/sub/1.png": ("b", (2, 2))})
    with pytest.raises(DataError, match=r"20_waj/1\.png: an image must lie in a class's folder"):
        scan(folder)


def written(folder, name, *entries):
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in entries]
    (folder / name).write_text("\n".join([*lines, ""]), encoding="utf-8")


def uncaptioned(tree, names):
    folder = tree(dict.fromkeys(names, ("", (2, 2))))
    for name in names:
        (folder / name).with_suffix(".txt").unlink()
    return folder


def test_metadata_beside_the_images_or_above_them(tree):
    folder = uncaptioned(tree, ["toys/bunny/1.png", "toys/owl/1.png", "toys/fox/1.png"])
    written(folder, "toys/bunny/metadata.jsonl", {"file_name": "1.png", "text": "ölis\n toy"})
    written(folder, "metadata.jsonl", {"file_name": "toys/owl/1.png", "text": "an owl", "x": 3})
    (folder / "toys/fox/1.txt").write_text("a fox, from its own file")
    captions = {str(e.concept): e.caption for e in scan(folder).examples}
    assert captions == {
        "toys/bunny": "ölis toy",
        "toys/owl": "an owl",
        "toys/fox": "a fox, from its own file",
    }


def test_every_mistake_of_metadata_is_named(tree):
    folder = uncaptioned(tree, ["toys/a/1.png", "toys/a/2.png", "toys/a/3.png"])
    written(
        folder, "toys/a/metadata.jsonl", {"file_name": "1.png", "text": "  "}, "not json",
        {"text": "of nothing"}, {"file_name": "2.png", "text": 5}, ["1.png"],
        {"file_name": "../../elsewhere.png", "text": "x"}, {"file_name": "3.png", "text": "fine"},
    )  # fmt: skip
    with pytest.raises(DataError) as caught:
        scan(folder)
    needed = 'needed is {"file_name": "1.png", "text": "..."}'
    assert sorted(caught.value.problems) == sorted(
        [
            "metadata.jsonl has no caption for toys/a/1.png",
            f"toys/a/metadata.jsonl, line 2: {needed}",
            f"toys/a/metadata.jsonl, line 3: {needed}",
            "toys/a/metadata.jsonl, line 4: 'text' is not text",
            f"toys/a/metadata.jsonl, line 5: {needed}",
            "1 of 3 captions are missing: toys/a/2.txt; to have them written, type: "
            f"lycoris-bench caption {folder}",
            "metadata.jsonl names toys/a/../../elsewhere.png, which is no image of the dataset",
        ]
    )


def test_other_captions_of_the_same_images(tree):
    folder = tree({"toys/bunny/1.png": ("main", (2, 2)), "toys/bunny/2.png": ("main", (2, 2))})
    (folder / "toys/bunny/1.no-tags").write_text("olis toy")
    written(folder, "metadata.jsonl", {"file_name": "toys/bunny/2.png", "no-tags": "olis"})
    data = scan(folder)
    other = data.recaptioned(folder, ".no-tags")
    assert [e.caption for e in data.examples] == ["main", "main"]
    assert [e.caption for e in other.examples] == ["olis toy", "olis"]
    assert [e.path for e in other.examples] == [e.path for e in data.examples]
    assert other.fingerprint != data.fingerprint
    with pytest.raises(DataError, match=r"2 of 2 captions .*caption .*--strategy all$"):
        data.recaptioned(folder, ".all-tags")


def test_what_is_declared_has_counts_and_no_images():
    data = declared({BUNNY: 3, Concept("toys", "owl", "blue"): 1}, (512, 512))
    assert isinstance(data, Dataset) and len(data.examples) == 4
    assert data.repeats(200) == [67, 67, 67, 200]
    assert {e.size for e in data.examples} == {(512, 512)}
