"""Streams: the same bytes as the format's own library, whole files only, few tensors at a time."""

import gc
import hashlib
import os
import resource
import signal
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

import lycoris_bench
from lycoris_bench.adapter_tools.merge import merge
from lycoris_bench.adapters.formats import streaming
from lycoris_bench.adapters.formats.adapter_file import AdapterFileError
from lycoris_bench.files import outputs
from tests.support import tiny_files as tiny
from tests.support.world import killed

SOURCE = Path(lycoris_bench.__file__).parent.parent


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Every dtype that torch and the format share, an empty tensor and a number."""
    torch.default_generator.manual_seed(0)
    tensors = {
        f"x.{name}": (torch.randn(3, 5) * 3).to(dtype) for name, dtype in streaming.DTYPES.items()
    }
    tensors |= {"none": torch.zeros(0, 4), "one": torch.tensor(2.5), "long": torch.randn(1 << 21)}
    save_file(tensors, tmp_path / "mixed.safetensors", {"a": "ü"})
    return tmp_path / "mixed.safetensors"


def copy(source: Path, target: Path, **options: bool) -> None:
    reader = streaming.Reader(source)
    shapes = {k: (e.dtype, e.shape, e.end - e.begin) for k, e in reader.entries.items()}
    streaming.write(target, shapes, reader.pieces, reader.metadata, **options)


def test_reading_and_copying_agree_with_the_library(mixed: Path, tmp_path: Path) -> None:
    copy(mixed, tmp_path / "copy.safetensors")
    reader, wanted = streaming.Reader(mixed), load_file(mixed)
    got = load_file(tmp_path / "copy.safetensors")
    assert got.keys() == wanted.keys() == reader.entries.keys()
    for key, value in wanted.items():
        for other in (got[key], reader.tensor(key)):
            assert (other.dtype, other.shape) == (value.dtype, value.shape)
            assert b"".join(streaming.pieces(other)) == b"".join(streaming.pieces(value))
    with safe_open(tmp_path / "copy.safetensors", "pt") as file:
        assert file.metadata() == {"a": "ü"}


def test_the_hash_is_that_of_the_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    shapes = {"a": ("F16", (2,), 4), "b": ("F32", (1,), 4)}
    streaming.write(
        path, shapes, lambda name: [name.encode() * 4], {streaming.HASH: streaming.PENDING}
    )
    with safe_open(path, "pt") as file:
        said = file.metadata()[streaming.HASH]
    assert said == "0x" + hashlib.sha256(b"aaaabbbb").hexdigest()


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_cut_file_is_a_sentence(mixed: Path, tmp_path: Path, keep: int) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(mixed.read_bytes()[:keep])
    with pytest.raises(AdapterFileError, match="cut.safetensors is cut off"):
        streaming.Reader(cut)


def test_pickles_and_missing_files_are_sentences(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "model.ckpt")
    with pytest.raises(AdapterFileError, match="is a pickle.*convert it to safetensors"):
        streaming.Reader(tmp_path / "model.ckpt")
    with pytest.raises(AdapterFileError, match="none cannot be read: No such file"):
        streaming.Reader(tmp_path / "none")


def test_what_is_there_is_replaced_only_by_force(mixed: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_bytes(b"mine")
    with pytest.raises(outputs.OutputError, match="--force replaces it"):
        copy(mixed, there)
    assert there.read_bytes() == b"mine"
    copy(mixed, there, force=True)
    assert load_file(there).keys() == load_file(mixed).keys()


def test_outputs_inside_inputs_and_strange_folders_are_refused(tmp_path: Path) -> None:
    base = tmp_path / "base"
    (base / "unet").mkdir(parents=True)
    for place in (base, base / "unet", base / "new" / "x", tmp_path):
        with pytest.raises(outputs.OutputError, match="input"):
            outputs.check(place, [base], force=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"")
    with pytest.raises(outputs.OutputError, match="holds other things"):
        outputs.check(tmp_path / "photos", [base], force=True, folder=True)
    outputs.check(tmp_path / "new", [base], force=False)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Every write past 100 kB fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_nothing(mixed: Path, small_disk: None) -> None:
    before = sorted(mixed.parent.iterdir())
    with pytest.raises(outputs.OutputError, match="no space left on the disk for .*nothing was"):
        copy(mixed, mixed.parent / "copy.safetensors")
    assert sorted(mixed.parent.iterdir()) == before


def test_a_full_disk_leaves_no_folder(tmp_path: Path, small_disk: None) -> None:
    base = tiny.folder(tmp_path / "base", tiny.models(), max_shard_size="50KB")
    tensors = tiny.lora(32, 32, 2, 1, "lora_unet_down_blocks_1_resnets_0_time_emb_proj")
    tensors["lora_unet_down_blocks_1_resnets_0_time_emb_proj.lora_down.weight"] = torch.ones(2, 64)
    file = tiny.write(tmp_path / "a.safetensors", tensors)
    (base / "vae" / "big.safetensors").touch()
    with (base / "vae" / "big.safetensors").open("r+b") as handle:
        handle.truncate(90_000)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (30_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    )
    with pytest.raises(outputs.OutputError, match="no space left"):
        merge(str(base), [file], tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "base"]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_an_interrupt_leaves_nothing_and_a_kill_no_result(mixed: Path, tmp_path: Path) -> None:
    def interrupted(name: str) -> Iterator[bytes]:
        yield b"aaaa"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        streaming.write(tmp_path / "x", {"a": ("F32", (2,), 8)}, interrupted, {})
    assert not list(tmp_path.glob("*x*part")) and not (tmp_path / "x").exists()

    def dies(name: str) -> Iterator[bytes]:
        yield b"aaaa"
        os.kill(os.getpid(), signal.SIGKILL)

    place = tmp_path / "killed"
    end = killed(lambda: streaming.write(place, {"a": ("F32", (2,), 8)}, dies, {}))
    assert end == signal.SIGKILL and not place.exists()


def test_few_tensors_are_held_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the 286 weights of the tiny model, at most three are alive while it is merged."""
    base = tiny.folder(tmp_path / "base", tiny.models())
    file = tiny.adapter(tmp_path / "a.safetensors", tiny.models(), "lora")
    alive: list[weakref.ref[Tensor]] = []
    most, read = 0, streaming.Reader.tensor

    def counted(self: streaming.Reader, name: str) -> Tensor:
        nonlocal most
        value = read(self, name)
        alive.append(weakref.ref(value))
        most = max(most, sum(one() is not None for one in alive))
        return value

    monkeypatch.setattr(streaming.Reader, "tensor", counted)
    gc.disable()  # what only the collector would free is held
    try:
        merge(str(base), [file], tmp_path / "out")
    finally:
        gc.enable()
    assert len(alive) > 60 and 1 <= most <= 3
