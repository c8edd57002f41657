"""Texts as other programs write them, and things that are no files."""

import os
import socket
from pathlib import Path

import pytest

from lycoris_bench.files import disk
from lycoris_bench.files.disk import FileError, NoSuchFile

SAID = "a red boat\n\n# ☃ Größe\n"


@pytest.mark.parametrize(
    "data",
    [
        SAID.encode(),
        b"\xef\xbb\xbf" + SAID.encode(),
        b"\xef\xbb\xbf\xef\xbb\xbf" + SAID.encode(),
        b"\xff\xfe" + SAID.encode("utf-16-le"),
        b"\xfe\xff" + SAID.encode("utf-16-be"),
        SAID.replace("\n", "\r\n").encode(),
        SAID.replace("\n", "\r").encode(),
    ],
    ids=["plain", "mark", "two marks", "utf-16-le", "utf-16-be", "crlf", "cr"],
)
def test_the_same_text_however_it_was_saved(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    assert disk.read_text(tmp_path / "a.txt") == SAID
    assert disk.read_lines(tmp_path / "a.txt") == ["a red boat", "", "# ☃ Größe", ""]


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\f", "\v", "\x1c"])
def test_what_only_looks_like_the_end_of_a_line_is_a_space(tmp_path: Path, mark: str) -> None:
    (tmp_path / "a.txt").write_text(f"on a{mark}beach\n", encoding="utf-8")
    assert disk.read_lines(tmp_path / "a.txt") == ["on a beach", ""]


@pytest.mark.parametrize("data", [b"caf\xe9", b"\xff\xfe\x00", b"a\0b"])
def test_no_text_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    with pytest.raises(FileError, match=f"^{path} .* save it as UTF-8"):
        disk.read_text(path)


def special(folder: Path) -> dict[str, Path]:
    """One of each kind that is no plain file."""
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(folder / "s"))
    (folder / "link").symlink_to(folder / "pipe")
    return {"a pipe": folder / "pipe", "a folder": folder / "folder", "a socket": folder / "s"}


def test_what_is_no_plain_file_is_neither_read_nor_replaced(tmp_path: Path) -> None:
    for kind, path in special(tmp_path).items():
        before = path.lstat()
        with pytest.raises(FileError, match=f"{path} is {kind}; a plain file is needed"):
            disk.read_bytes(path)
        with pytest.raises(FileError, match=f"{path} is {kind}, which is not replaced"):
            disk.write(path, b"x")
        assert path.lstat().st_ino == before.st_ino
    assert disk.kind_of(tmp_path / "link") == "a pipe"  # what a link points to counts
    assert disk.kind_of("/dev/null") == "a device"


@pytest.mark.parametrize(
    ("target", "kind"),
    [("/proc/self/fd/{fd}", "a link into /proc"), ("/dev/nothing-there", "a link into /dev"),
     ("chain", "a link into /proc"), ("pipe", "a pipe")],
)  # fmt: skip
def test_a_link_into_the_systems_folders_is_not_replaced(
    tmp_path: Path, target: str, kind: str
) -> None:
    """/dev/stdout is such a link; where the output is redirected to a plain file it ends in one."""
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "redirected").open("w") as redirected:
        (tmp_path / "chain").symlink_to(f"/proc/self/fd/{redirected.fileno()}")
        link = tmp_path / "stdout"
        link.symlink_to(target.format(fd=redirected.fileno()))
        assert kind == "a pipe" or disk.kind_of(link) is None
        with pytest.raises(FileError, match=f"{link} is {kind}, which is not replaced"):
            disk.write(link, b"x")
    assert link.is_symlink() and not (tmp_path / "redirected").stat().st_size


def test_places_of_the_system_are_told_and_memory_is_a_disk(tmp_path: Path) -> None:
    (tmp_path / "folder").symlink_to("/proc/self")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "plain").symlink_to("nowhere")
    for path, kind in (
        ("/dev/nothing-there", "a place in /dev"), ("/proc/self/nothing", "a place in /proc"),
        (tmp_path / "folder" / "x", "a place in /proc"), (tmp_path / "folder", "a folder"),
        ("/sys/x", "a place in /sys"), ("/dev/../dev/x", "a place in /dev"),
        ("/dev/shm/x", None), (tmp_path / "plain", None), (tmp_path / "circle", None),
        (tmp_path / "devices", None), ("/device", None), ("a\0b", None),
    ):  # fmt: skip
        assert disk.never_written(path) == kind, path
    assert disk.never_written(tmp_path / "folder", folder=True) == "a link into /proc"


def test_missing_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NoSuchFile, match="nothing.txt is missing"):
        disk.read_text(tmp_path / "nothing.txt")
    with pytest.raises(NoSuchFile):
        disk.read_text(tmp_path / "a\0b")
    (tmp_path / "file").write_text("x")
    with pytest.raises(NoSuchFile):
        disk.read_text(tmp_path / "file" / "below")


def test_tables_and_values(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"\xef\xbb\xbf" + b'a = "x"\r\n')
    assert disk.read_toml(path) == {"a": "x"}
    path.write_bytes(b"\xef\xbb\xbf" + b'{"r": 4}')
    assert disk.read_json(path) == {"r": 4}
    path.write_text("[" * 100_000)
    with pytest.raises(FileError, match="nested too deeply"):
        disk.read_json(path)
    path.write_text("a = " + "[" * 100_000)
    with pytest.raises(FileError, match="as TOML"):
        disk.read_toml(path)
    path.write_text("{'a': 1}")
    with pytest.raises(FileError, match=f"{path} cannot be read as JSON"):
        disk.read_json(path)


def test_a_whole_file_or_none(tmp_path: Path) -> None:
    path = disk.write(tmp_path / "new" / "a.txt", "x")
    assert path.read_text() == "x" and [p.name for p in path.parent.iterdir()] == ["a.txt"]
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be written"):
        disk.write(tmp_path / "file" / "a.txt", "x")


def test_an_interrupt_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    (tmp_path / "a.txt").write_text("before")
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        disk.write(tmp_path / "a.txt", "after")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "before")]
