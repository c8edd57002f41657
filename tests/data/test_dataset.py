"""Reading the tree: what is found, in which order, and every mistake at once."""

import pickle

import pytest
from PIL import Image

from lycoris_bench.data.dataset import Dataset, Example, scan
from lycoris_bench.data.images import DataError
from lycoris_bench.study.records import Concept

PAPER = """
people: Makoto 90 x2 | Kirei 51 x4 | Yoshiko 128 x2 | Ika 118 20 34 x1 | Abukuma 54 48 28 x2
film: K-2SO 63 x3 | Piett 13 34 2 x4 | Bodhi 11 12 34 2 x3 | Saw 4 23 10 7 1 x4 | Rose 10 45 5 x3
styles: Ghibli 200 x1 | Ghibli2 100 x2 | Book 100 x2 | Ukiyo-e 87 x2 | Impressionism 101 x2 |
 Vallotton 100 x2 | Borovikovsky 88 x2
toys: Tortoise 12 x17 | Pink 10 x20 | Panda 10 x20 | Bunny 7 x29 | Lobster 7 x29 | Teddy 7 x29
scenes: Waterfall 9 x22 | Garden 7 x29 | Canal 5 x40 | Castle 5 x40 | Sculpture 4 x50
""".strip().replace("|\n", "|")


def test_repeats_are_those_of_the_paper(tmp_path):
    """Appendix D.1: sub-classes share the number of their class; 5 560 images an epoch."""
    examples, expected = [], []
    for line in PAPER.splitlines():
        category, _, classes = line.partition(": ")
        for entry in classes.split("|"):
            name, *counts, times = entry.split()
            for k, count in enumerate(counts):
                concept = Concept(category, name, str(k) if len(counts) > 1 else "")
                examples += [Example(tmp_path, "", concept, (1, 1), "")] * int(count)
                expected += [int(times[1:])] * int(count)
    repeats = Dataset(tuple(examples)).repeats(200)
    assert repeats == expected
    assert (len(repeats), sum(repeats)) == (1706, 5560)


def test_a_half_is_rounded_up_and_never_to_nothing(tmp_path):
    def of(count):
        return Dataset((Example(tmp_path, "", Concept("c", "x"), (1, 1), ""),) * count)

    assert of(80).repeats(200)[0] == 3 and of(1000).repeats(200)[0] == 1


def test_the_tree_is_read_in_natural_order_with_odd_names(tree):
    folder = tree(
        {
            "toys/hat, red/10.png": ("ten", (2, 2)),
            "toys/hat, red/2.jpg": ("two\nlines ", (3, 2)),
            "toys/Ünï ☃ (1)/a.WEBP": ("snow", (2, 2)),
            "people/A B/others/x.bmp": ("rest", (2, 2)),
            "people/A B/form 1/x.tiff": ("form", (2, 5)),
        }
    )
    for extra in ("concepts.toml", "toys/hat, red/.DS_Store", "people/notes.md"):
        (folder / extra).write_text("")
    data = scan(folder)
    assert [(str(e.concept), e.path.name, e.caption, e.size) for e in data.examples] == [
        ("people/A B/form 1", "x.tiff", "form", (2, 5)),
        ("people/A B/others", "x.bmp", "rest", (2, 2)),
        ("toys/hat, red", "2.jpg", "two lines", (3, 2)),
        ("toys/hat, red", "10.png", "ten", (2, 2)),
        ("toys/Ünï ☃ (1)", "a.WEBP", "snow", (2, 2)),
    ]
    assert [e.generate for e in data.examples] == [True, False, True, True, True]
    assert data.concepts[2] == Concept("toys", "hat, red")
    assert [e.path.name for e in data.of(Concept("toys", "hat, red"))] == ["2.jpg", "10.png"]
    assert pickle.loads(pickle.dumps(data)) == data


def test_every_mistake_is_reported_at_once(tree):
    folder = tree(
        {
            "toys/good/1.png": ("fine", (2, 2)),
            "toys/good/2.png": ("its caption goes", (2, 2)),
            "toys/good/3.png": (" \n", (2, 2)),
            "toys/good/4.png": ("not utf-8", (2, 2)),
            "toys/good/5.png": ("corrupt", (2, 2)),
            "toys/loose.png": ("x", (2, 2)),
            "root.png": ("x", (2, 2)),
            "people/mixed/1.png": ("x", (2, 2)),
            "people/mixed/sub/1.png": ("x", (2, 2)),
            "people/deep/sub/sub2/1.png": ("x", (2, 2)),
        }
    )
    good = folder / "toys" / "good"
    (good / "2.txt").unlink()
    (good / "4.txt").write_bytes(b"\xff\xfe\xff")
    (good / "5.png").write_bytes(b"no picture")
    (good / "6.gif.txt").write_text("a caption whose image is of another kind")
    (folder / "toys" / "none").mkdir()
    (folder / "void").mkdir()
    with pytest.raises(DataError) as caught:
        scan(folder)
    assert sorted(caught.value.problems) == sorted(
        [
            f"1 of 6 captions are missing: toys/good/2.txt; to have them written, type: "
            f"lycoris-bench caption {folder}",
            "caption toys/good/3.txt is empty",
            "caption toys/good/4.txt is not UTF-16-LE text (byte 2); save it as UTF-8",
            "toys/good/5.png: the file is not an image, or its header is corrupt",
            "toys/good/6.gif.txt is a caption without an image beside it",
            "toys/loose.png: an image must lie in a class's folder",
            "root.png: an image must lie in category/class",
            "people/mixed/1.png: an image must lie in a sub-class's folder, as the class has some "
            "(or 'others')",
            "'people/deep/sub/sub2' is a folder in a sub-class",
            "'people/deep/sub' has no images (.png, .jpg, .jpeg, .webp, .bmp, .tif, .tiff)",
            "'toys/none' has no images (.png, .jpg, .jpeg, .webp, .bmp, .tif, .tiff)",
            "category 'void' has no class; a class is a folder in it",
        ]
    )


def test_a_missing_and_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match="there is no such folder"):
        scan(tmp_path / "nowhere")
    with pytest.raises(DataError, match="it is empty"):
        scan(tmp_path)


def test_a_folder_that_may_not_be_read(tree, monkeypatch):
    folder = tree({"toys/a/1.png": ("x", (2, 2)), "toys/b/1.png": ("y", (2, 2))})
    original = type(folder).iterdir

    def iterdir(self):
        if self.name == "b":
            raise PermissionError(13, "Permission denied", str(self))
        return original(self)

    monkeypatch.setattr(type(folder), "iterdir", iterdir)
    with pytest.raises(DataError, match=r"toys/b cannot be read \(Permission denied\)"):
        scan(folder)


def test_held_out_images_need_no_captions(tree):
    folder = tree({"toys/a/1.png": ("x", (2, 2))})
    (folder / "toys/a/1.txt").unlink()
    assert scan(folder, captions=False).examples[0].caption == ""


def test_fingerprint_is_of_content_not_of_place(tree, tmp_path):
    folder = tree({"toys/a/1.png": ("x", (2, 2)), "toys/b/1.png": ("y", (2, 2))})
    before = scan(folder).fingerprint
    moved = folder.rename(tmp_path / "moved")
    assert scan(moved).fingerprint == before
    (moved / "toys/a/1.txt").write_text("z")
    recaptioned = scan(moved).fingerprint
    Image.new("RGB", (2, 2), "pink").save(moved / "toys/b/1.png")
    assert len({before, recaptioned, scan(moved).fingerprint}) == 3
