"""Where captions are written: never over what is no caption, never half, never elsewhere."""

import os
import signal
from pathlib import Path

import pytest
from PIL import Image

from lycoris_bench.data.captioning.targets import extension
from lycoris_bench.data.captioning.write import CaptionOptions, write
from lycoris_bench.messages.errors import BenchError
from tests.data.captioning.test_captions import caption, written
from tests.support.world import killed

TOY = ("--strategy", "none", "--descriptor", "a toy")


def pictures(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((8, 8), 50).save(folder / name)
    return folder


@pytest.mark.parametrize(
    "given",
    [".png", ".PNG", ".caption.png", ".webp", ".gif", ".safetensors", ".toml", ".jsonl", ".json",
     ".part", "txt", ".", "..", ".txt.", "./x", ".a/../../x", ". txt", ".a\n", ".a\x00"],
)  # fmt: skip
def test_an_extension_of_other_files_is_refused(tmp_path: Path, capsys, given: str) -> None:
    folder = pictures(tmp_path, "1.png")
    before = (folder / "1.png").read_bytes()
    assert caption(folder, *TOY, "--extension", given, "--force") == 2
    assert "--extension is '" in capsys.readouterr().err
    assert [p.name for p in folder.iterdir()] == ["1.png"] and (
        folder / "1.png"
    ).read_bytes() == before
    with pytest.raises(BenchError):
        extension(given)


def test_what_is_in_the_way_is_named_all_at_once(tmp_path: Path, capsys) -> None:
    folder = pictures(tmp_path / "data", *(f"deep/{k}.png" for k in range(1, 6)))
    deep = folder / "deep"
    (deep / "1.mine").mkdir()
    os.mkfifo(deep / "2.mine")
    (deep / "3.mine").write_bytes(b"SQLite format 3\0")
    (deep / "4.mine").write_bytes(b"caf\xe9 in Latin-1: a text, to be replaced")
    assert caption(folder, *TOY, "--extension", ".mine", "--force") == 2
    # a pipe is in the way of the folder itself; the others, of the captions
    assert "deep/2.mine is a pipe" in capsys.readouterr().err
    (deep / "2.mine").unlink()
    assert caption(folder, *TOY, "--extension", ".mine", "--force") == 2
    error = capsys.readouterr().err
    assert "deep/1.mine is a folder, which is not replaced" in error
    assert "deep/3.mine is there and is no text" in error
    assert not (deep / "5.mine").exists()
    (deep / "1.mine").rmdir()
    (deep / "3.mine").unlink()
    assert caption(folder, *TOY, "--extension", ".mine", "--force") == 0
    assert written(folder, ".mine") == {f"deep/{k}.mine": "a toy\n" for k in range(1, 6)}


def test_links_that_leave_loop_or_are_broken(tmp_path: Path, capsys) -> None:
    pictures(tmp_path / "elsewhere", "1.png")
    folder = pictures(tmp_path / "data", "a/1.png", "10.png", "9.png")
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    assert caption(folder, *TOY) == 2
    assert f"{folder}/out is a link to {tmp_path}/elsewhere" in capsys.readouterr().err
    (folder / "out").unlink()
    (folder / "a/loop").symlink_to(folder)
    (folder / "gone.png").symlink_to("nowhere.png")
    assert caption(folder, *TOY) == 2
    error = capsys.readouterr().err
    assert "a/loop is a link to a folder that it lies in" in error
    assert "gone.png is a link to nothing" in error
    assert not written(tmp_path, ".no-tags")
    (folder / "a/loop").unlink()
    (folder / "gone.png").unlink()
    (folder / "in").symlink_to("a")  # inside: the same image twice, one caption
    (folder / "one.png").symlink_to(tmp_path / "elsewhere/1.png")  # its caption is beside the link
    assert caption(folder, *TOY) == 0
    names = {"10.no-tags", "9.no-tags", "a/1.no-tags", "one.no-tags"}
    assert {n for n in written(folder, ".no-tags") if not n.startswith("in/")} == names
    assert not list((tmp_path / "elsewhere").glob("*.no-tags"))


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, capsys, monkeypatch) -> None:
    folder = pictures(tmp_path, "a/1.png", "b/1.png")
    original = Path.iterdir

    def iterdir(self: Path):
        if self.name == "b":
            raise PermissionError(13, "Permission denied", str(self))
        return original(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert caption(folder, *TOY) == 2
    assert "b cannot be read (Permission denied)" in capsys.readouterr().err


def test_broken_images_are_named_before_a_caption_is_written(tmp_path, tagger, capsys) -> None:
    folder = pictures(tmp_path, "1.png", "2.png", "3.png")
    for name in ("2.png", "3.png"):
        (folder / name).write_bytes((folder / name).read_bytes()[:60])
    given = ("--strategy", "all", "--descriptor", "a toy", "--tagger", tagger)
    assert caption(folder, *given) == 2
    error = capsys.readouterr().err
    assert "2.png: the image is corrupt" in error and "3.png: the image is corrupt" in error
    assert not written(folder, ".all-tags")


def test_two_images_of_one_stem(tmp_path: Path, tagger, capsys) -> None:
    folder = pictures(tmp_path, "1.png", "1.jpg")
    given = ("--strategy", "all", "--descriptor", "a toy", "--tagger", tagger)
    assert caption(folder, *given) == 2
    assert "would share 1.all-tags; rename one" in capsys.readouterr().err
    assert caption(folder, *TOY) == 0  # there both are said to show the same


def test_a_caption_with_its_extension_in_capitals_is_there(tmp_path: Path) -> None:
    folder = pictures(tmp_path, "1.png")
    (folder / "1.TXT").write_text("mine")
    assert caption(folder, *TOY, "--extension", ".txt") == 0
    assert sorted(p.name for p in folder.iterdir()) == ["1.TXT", "1.png"]


def test_a_killed_run_leaves_no_half_file_and_goes_on(tmp_path: Path, monkeypatch) -> None:
    """Killed before each of its renames in turn; another process's half file is left alone."""
    folder = pictures(tmp_path, *(f"{k}.png" for k in range(4)))
    how = CaptionOptions("none", descriptor="a toy", extension=".txt")
    other = folder / f"3.txt.{os.getppid()}.part"
    other.touch()
    original = Path.replace
    for done in range(3):

        def dying(part: Path, path: Path) -> Path:
            if len(list(folder.glob("*.txt"))) > done:  # noqa: B023
                os.kill(os.getpid(), signal.SIGKILL)
            return original(part, path)

        monkeypatch.setattr(Path, "replace", dying)
        assert killed(lambda: write(folder, how)) == signal.SIGKILL
        assert set(written(folder, ".txt").values()) == {"a toy\n"}
        assert len(list(folder.glob("*.part"))) == 2
    monkeypatch.setattr(Path, "replace", original)
    done = write(folder, how)
    assert (done["written"], done["kept"]) == (1, 3)
    assert [p.name for p in folder.glob("*.part")] == [other.name]


def test_a_template_that_says_nothing(dataset: Path, capsys) -> None:
    assert caption(dataset, "--strategy", "none", "--template", " ") == 2
    assert "--template is empty" in capsys.readouterr().err


def test_captions_in_a_list_are_there(tmp_path: Path, capsys) -> None:
    """A list goes before files: what was written beside an image of it would never be read."""
    folder = pictures(tmp_path, "deep/1.png", "deep/2.png")
    (folder / "deep/metadata.jsonl").write_text('{"file_name": "1.png", "text": "mine"}\n')
    given = (*TOY, "--extension", ".txt")
    assert caption(folder, *given) == 0
    assert "1 caption written" in capsys.readouterr().out
    assert written(folder, ".txt") == {"deep/2.txt": "a toy\n"}
    assert caption(folder, *given, "--force") == 2
    assert "metadata.jsonl has the captions of 1 image" in capsys.readouterr().err


def test_captions_are_counted_as_the_files_that_there_are(tmp_path: Path, capsys) -> None:
    """Two images of one stem share a caption where it is the same; a list's captions are kept."""
    folder = pictures(tmp_path, "a/0.png", "a/0.jpg", "a/1.png", "b/0.png", "b/0.bmp", "c/0.png")
    (folder / "a/1.txt").write_text("mine")
    (folder / "c/metadata.jsonl").write_text('{"file_name": "0.png", "text": "listed"}')
    done = write(folder, CaptionOptions("none", descriptor="a toy", extension=".txt"))
    assert (done["written"], done["kept"]) == (2, 2)
    assert done["text"].startswith("2 captions written as *.txt in ")
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*.txt")) == [
        "a/0.txt", "a/1.txt", "b/0.txt",
    ]  # fmt: skip
    again = write(folder, CaptionOptions("none", descriptor="a toy", extension=".txt"))
    assert (again["written"], again["kept"]) == (0, 4)
    (folder / "c/metadata.jsonl").unlink()
    forced = write(folder, CaptionOptions("none", descriptor="a toy", extension=".txt", force=True))
    assert (forced["written"], forced["kept"]) == (4, 0)
