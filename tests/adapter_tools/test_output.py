"""Where results may lie: never in a device's or another's place, and nothing is left behind."""

import os
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lycoris_bench.adapter_tools.combine import combine
from lycoris_bench.adapter_tools.convert import convert
from lycoris_bench.adapter_tools.extract import extract
from lycoris_bench.adapter_tools.merge import merge
from lycoris_bench.adapter_tools.resize import resize
from lycoris_bench.files.outputs import OutputError, check, whole_file, whole_folder
from lycoris_bench.messages.errors import BenchError
from tests.support import tiny_files as tiny

LAYER = "lora_unet_mid_block_attentions_0_proj_in"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    save_file(tiny.lora(32, 32, 4, 1, LAYER), tmp_path / "a")
    return tmp_path / "a"


def special(place: Path, kind: str) -> Path:
    """Something in the place of a file that is none."""
    if kind == "a pipe":
        os.mkfifo(place)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as made:
            os.chdir(place.parent)  # addresses of sockets are short
            made.bind(place.name)
    elif kind == "a folder":
        place.mkdir()
    elif kind == "a device":
        place.symlink_to("/dev/null")  # as a node of its own would take root
    return place


@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("kind", ["a pipe", "a socket", "a folder", "a device"])
def test_what_is_no_plain_file_is_not_replaced(
    tmp_path: Path, source: Path, kind: str, force: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = special(tmp_path / "out", kind)
    before = os.lstat(place)
    for command in (lambda: convert(source, place, "kohya", force=force),
                    lambda: resize(source, place, rank=1, force=force),
                    lambda: combine([source], place, force=force)):  # fmt: skip
        with pytest.raises(OutputError, match=f"out is {kind}, which is not replaced; give an"):
            command()
    with pytest.raises(OutputError, match=f"is {kind}"), whole_file(place, force) as file:
        file.write(b"x")
    after = os.lstat(place)
    assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "out"]


@pytest.mark.parametrize("folder", [False, True])
def test_a_link_into_proc_is_not_replaced(tmp_path: Path, source: Path, folder: bool) -> None:
    """As /dev/stdout is one, which ends in a plain file where the output is redirected."""
    base = tiny.folder(tmp_path / "base", tiny.models()) if folder else None
    with (tmp_path / "redirected").open("w") as redirected:
        link = tmp_path / "out"
        link.symlink_to("/proc/self" if folder else f"/proc/self/fd/{redirected.fileno()}")
        commands = [lambda: merge(str(base), [source], link, force=True)] if folder else [
            lambda: convert(source, link, "kohya", force=True),
            lambda: resize(source, link, rank=1, force=True),
            lambda: combine([source], link, force=True)]  # fmt: skip
        for command in commands:
            with pytest.raises(OutputError, match="out is a link into /proc, which is not repl"):
                command()
    assert link.is_symlink() and not (tmp_path / "redirected").stat().st_size


@pytest.mark.parametrize("kind", ["a pipe", "a socket", "a device"])
def test_a_model_is_a_folder_or_a_file(
    tmp_path: Path, source: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = str(special(tmp_path / "model", kind))
    for command in (lambda: merge(place, [source], tmp_path / "out"),
                    lambda: extract(place, place, tmp_path / "out"),
                    lambda: convert(source, tmp_path / "out", "diffusers", place)):  # fmt: skip
        with pytest.raises(BenchError, match=f"model is {kind}; a pipeline folder or a single"):
            command()


def test_a_link_is_replaced_and_its_target_is_not(tmp_path: Path, source: Path) -> None:
    target, link = tmp_path / "mine", tmp_path / "out"
    target.write_bytes(b"mine")
    link.symlink_to(target)
    with pytest.raises(OutputError, match="out is there already; --force replaces it"):
        convert(source, link, "kohya")
    convert(source, link, "kohya", force=True)
    assert target.read_bytes() == b"mine" and not link.is_symlink() and link.stat().st_size > 100


@pytest.mark.parametrize("target", ["nowhere", "out"])  # the second is a circle
def test_a_link_to_nothing_is_there(tmp_path: Path, source: Path, target: str) -> None:
    link = tmp_path / "out"
    link.symlink_to(target)
    with pytest.raises(OutputError, match="there already|cannot be written"):
        convert(source, link, "kohya")
    assert link.is_symlink() and not (tmp_path / "nowhere").exists()


def test_an_input_by_another_name_is_no_output(tmp_path: Path, source: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    content = source.read_bytes()
    for one, two in ((source, "link"), (tmp_path / "link", "a"), (source, "x/../a")):
        with pytest.raises(OutputError, match="is, or lies in, the input"):
            convert(one, tmp_path / two, "kohya", force=True)
    os.link(source, tmp_path / "hard")  # another name of the same file: replaced, not written into
    resize(source, tmp_path / "hard", rank=1, force=True)
    assert source.read_bytes() == content


@pytest.mark.parametrize("name", ["x" * 300, "\0", "", "y/" * 40 + "x" * 256])
def test_names_that_no_file_has(tmp_path: Path, source: Path, name: str) -> None:
    out = tmp_path / name if name else Path()
    with pytest.raises(OutputError, match="File name too long|is no name of a file"):
        convert(source, out, "kohya")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_longest_name_is_one(tmp_path: Path, source: Path) -> None:
    convert(source, tmp_path / ("x" * 255), "kohya")
    assert (tmp_path / ("x" * 255)).stat().st_size > 100


def test_folders_are_made_and_a_file_is_no_folder(tmp_path: Path, source: Path) -> None:
    convert(source, tmp_path / "new" / "deep" / "out", "kohya")
    assert (tmp_path / "new" / "deep" / "out").exists()
    for place in (source / "out", source / "deep" / "out"):
        with pytest.raises(OutputError, match="lies in, the input|a is no folder"):
            convert(source, place, "kohya")
    (tmp_path / "b").write_bytes(b"")
    with pytest.raises(OutputError, match="b is no folder"):
        convert(source, tmp_path / "b" / "deep" / "out", "kohya")


def test_a_refused_result_leaves_no_folders(tmp_path: Path) -> None:
    """An error after the place was made: what was made is taken away, and nothing else."""
    (tmp_path / "kept").mkdir()
    for path in (tmp_path / "new" / "deep" / "out", tmp_path / "kept" / "out"):
        with pytest.raises(BenchError, match="later"), whole_file(path) as file:
            file.write(b"x")
            raise BenchError("later")
        with pytest.raises(BenchError, match="later"), whole_folder(path) as folder:
            (folder / "x").write_bytes(b"")
            raise BenchError("later")
    assert [path.name for path in tmp_path.rglob("*")] == ["kept"]


def test_models_are_folders_or_files_as_their_base(tmp_path: Path, source: Path) -> None:
    pair = tiny.models()
    base = tiny.folder(tmp_path / "base", pair)
    single = tiny.single_file(tmp_path / "single.safetensors", pair)
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"")
    with pytest.raises(OutputError, match="file is a file, and the result is a folder"):
        merge(str(base), [source], tmp_path / "file", force=True)
    with pytest.raises(OutputError, match="photos is a folder, which is not replaced"):
        merge(str(single), [source], tmp_path / "photos", force=True)
    with pytest.raises(OutputError, match="photos is a folder that holds other things"):
        merge(str(base), [source], tmp_path / "photos", force=True)
    with pytest.raises(OutputError, match="file is a file, and the result is a folder"):
        convert(source, tmp_path / "file", "peft", str(base), force=True)
    for place in (base / "unet" / "out", base, tmp_path):
        with pytest.raises(OutputError, match="input"):
            merge(str(base), [source], place, force=True)
    with pytest.raises(OutputError, match="lies in, the input"):
        extract(str(base), str(single), base / "out.safetensors")
    merge(str(base), [source], tmp_path / "merged")
    (tmp_path / "link").symlink_to(tmp_path / "merged")
    merge(str(base), [source], tmp_path / "link", force=True)  # the link makes way, its folder not
    assert (tmp_path / "merged" / "unet").is_dir() and not (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"mine" and not list(tmp_path.glob(".*"))


def test_an_empty_folder_may_become_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    check(tmp_path / "empty", [], force=False, folder=True)
    with whole_folder(tmp_path / "empty") as place:
        (place / "x").write_bytes(b"x")
    assert (tmp_path / "empty" / "x").read_bytes() == b"x"


def test_a_damaged_source_leaves_nothing(tmp_path: Path) -> None:
    tensors = tiny.lora(32, 32, 4, 1, LAYER)
    save_file(
        {**tensors, f"{LAYER}.lora_up.weight": torch.full((32, 4), torch.nan)}, tmp_path / "a"
    )
    for command in (lambda out: convert(tmp_path / "a", out, "portable"),
                    lambda out: convert(tmp_path / "a", out, "full"),
                    lambda out: convert(tmp_path / "a", out, "kohya"),
                    lambda out: combine([tmp_path / "a"], out, [0.5]),
                    lambda out: resize(tmp_path / "a", out, energy=0.9)):  # fmt: skip
        with pytest.raises(BenchError, match=LAYER):
            command(tmp_path / "new" / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]
