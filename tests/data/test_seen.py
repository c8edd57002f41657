"""The cache of pictures that were decoded: quick when it is right, harmless when it is not."""

import hashlib
import os

import pytest
from PIL import Image

from lycoris_bench.data import seen
from lycoris_bench.data.dataset import scan
from lycoris_bench.data.images import DataError
from lycoris_bench.data.seen import Seen, identity


@pytest.fixture
def decoded(monkeypatch):
    """Counts what is decoded."""
    count, check = [], seen.check
    monkeypatch.setattr(seen, "check", lambda data: count.append(data) or check(data))
    return count


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LYCORIS_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_each_picture_is_decoded_once_and_again_when_it_changes(small_tree, cache, decoded):
    first = scan(small_tree)
    assert len(decoded) == 4
    assert scan(small_tree) == first and len(decoded) == 4
    changed = small_tree / "scenes/lake/2.png"
    Image.new("RGB", (20, 30), "pink").save(changed)
    assert scan(small_tree).examples[1].size == (20, 30) and len(decoded) == 5
    changed.write_bytes(changed.read_bytes()[:-30])
    for _ in range(2):  # what is broken is never remembered as whole
        with pytest.raises(DataError, match=r"lake/2\.png: the image is corrupt"):
            scan(small_tree)
    assert len(decoded) == 7


def damaged(path, how):
    lines = path.read_text().splitlines()
    if how == "another size":
        path.write_text("\n".join(line.replace(" 32 32 ", " 64 32 ") for line in lines))
    elif how == "cut":
        path.write_text("\n".join(line[:-9] for line in lines))
    elif how == "not text":
        path.write_bytes(os.urandom(500))
    elif how == "words":
        path.write_text("a b c d\n" * 3 + "\n".join([lines[0] + " more", *lines[1:2]]))
    elif how in ("pipe", "folder"):
        path.unlink()
        (os.mkfifo if how == "pipe" else os.mkdir)(path)


@pytest.mark.parametrize("how", ["another size", "cut", "not text", "words", "pipe", "folder"])
def test_a_damaged_cache_is_not_believed(small_tree, cache, how):
    before = scan(small_tree)
    damaged(cache / "images.txt", how)
    assert scan(small_tree) == before


def test_a_cache_that_cannot_be_written(small_tree, tmp_path, monkeypatch, decoded):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LYCORIS_BENCH_CACHE", str(tmp_path / "file"))
    assert scan(small_tree) == scan(small_tree) and len(decoded) == 8


def test_tiffs_are_not_what_version_0_1_made_of_them(tmp_path):
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    Image.new("L", (2, 2)).save(tmp_path / "a.tif")
    png, tif = ((tmp_path / f"a.{suffix}").read_bytes() for suffix in ("png", "tif"))
    assert identity(png) == hashlib.sha256(png).hexdigest()
    assert identity(tif) not in (identity(png), hashlib.sha256(tif).hexdigest())
    assert Seen(tmp_path / "own").size(tif, identity(tif)) == (2, 2)
