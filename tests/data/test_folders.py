"""What lies in a dataset and is no plain file: each is named, none hangs, none is left out."""

import os
import shutil
import socket

import pytest

from lycoris_bench.data.dataset import scan
from lycoris_bench.data.folders import images_below
from lycoris_bench.data.images import DataError
from lycoris_bench.study.records import Concept


def problems_of(folder, **how):
    with pytest.raises(DataError) as caught:
        scan(folder, **how)
    return caught.value.problems


def test_what_is_no_plain_file_is_named_all_at_once(small_tree, monkeypatch):
    bunny = small_tree / "toys/bunny"
    os.mkfifo(bunny / "3.png")
    os.mkfifo(bunny / "2.tags")
    monkeypatch.chdir(bunny)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("4.jpg")
    (bunny / "5.png").symlink_to("gone.png")
    (bunny / "6.png").symlink_to("6.png")
    (small_tree / "toys/lobster").symlink_to("nowhere")
    (bunny / "null.webp").symlink_to("/dev/null")
    assert problems_of(small_tree) == [
        "toys/lobster is a link to nothing; remove it",
        "toys/bunny/2.tags is a pipe; remove it",
        "toys/bunny/3.png is a pipe; remove it",
        "toys/bunny/4.jpg is a socket; remove it",
        "toys/bunny/5.png is a link to nothing; remove it",
        "toys/bunny/6.png is a link to nothing; remove it",
        "toys/bunny/null.webp is a device; remove it",
    ]


def test_links_to_folders_are_followed_but_never_back(small_tree, tmp_path):
    elsewhere = shutil.move(small_tree / "toys/bunny", tmp_path / "elsewhere")
    (small_tree / "toys/bunny").symlink_to(elsewhere)
    assert len(scan(small_tree).of(Concept("toys", "bunny"))) == 2
    (tmp_path / "elsewhere/up").symlink_to(small_tree)
    (small_tree / "scenes/loop").symlink_to("..")
    said = [
        "scenes/loop is a link to a folder that it lies in; remove it",
        "toys/bunny/up is a link to a folder that it lies in; remove it",
    ]
    assert [p for p in problems_of(small_tree) if "link" in p] == said
    with pytest.raises(DataError) as caught:
        images_below(small_tree)
    assert caught.value.problems == said


def test_pictures_that_are_not_read_are_named(small_tree):
    for name in ("1.GIF", "2.avif", "3.jfif", "notes.md", ".hidden.gif"):
        (small_tree / "toys/bunny" / name).touch()
    (small_tree / "toys/cover.psd").touch()
    said = [problem.partition(";")[0] for problem in problems_of(small_tree)]
    assert said == ["toys/cover.psd is not read"] + [
        f"toys/bunny/{name} is not read" for name in ("1.GIF", "2.avif", "3.jfif")
    ]


def test_names_in_two_unicode_forms(tree):
    """macOS spells an é as two characters, most editors as one: both mean the same."""
    apart, whole = "de\u0301ja\u0300", "d\u00e9j\u00e0"
    folder = tree({f"toys/{apart}/{apart}.png": ("one", (2, 2))})
    (folder / "toys" / apart / f"{apart}.txt").rename(folder / "toys" / apart / f"{whole}.TXT")
    (example,) = scan(folder).examples
    assert (example.concept, example.caption) == (Concept("toys", whole), "one")
    shutil.copytree(folder / "toys" / apart, folder / "toys" / whole)
    assert any("spelled in two Unicode forms" in problem for problem in problems_of(folder))


def test_a_name_that_is_not_utf8_is_named(small_tree):
    (small_tree / "toys/bunny/2.png").rename(small_tree / "toys/bunny/\udce9.png")
    assert any("name that is not UTF-8; rename it" in p for p in problems_of(small_tree))


def test_a_date_is_no_number_of_repeats(tree):
    folder = tree({"toys/2_a\nb/1.png": ("x", (2, 2))})
    assert scan(folder).concepts == [Concept("toys", "a\nb")]
    (problem,) = problems_of(tree({"toys/20231225120000_bunny/1.png": ("x", (2, 2))}))
    assert problem.startswith("toys/20231225120000_bunny: 20231225120000 repeats; 10000 are allow")
