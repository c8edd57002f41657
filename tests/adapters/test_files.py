"""Adapter files: what is written, read with the safetensors package, and what is refused."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from lycoris_bench.adapters.formats.adapter_file import AdapterFileError, metadata, read, to_bytes

TENSORS = {
    "lora_unet_conv_in.lora_up.weight": torch.arange(12.0).reshape(2, 6).t() / 7,
    "lora_unet_conv_in.lora_down.weight": torch.arange(8.0).reshape(2, 4) / 3,
    "lora_unet_conv_in.alpha": torch.tensor(2.0),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "adapter.safetensors"
    file.write_bytes(to_bytes(TENSORS, {"ss_output_name": "naïve"}))
    return file


def test_half_precision_contiguous_and_named(path: Path) -> None:
    stored = load_file(path)
    assert stored.keys() == TENSORS.keys()
    for key, value in TENSORS.items():
        assert stored[key].dtype == np.float16
        np.testing.assert_array_equal(stored[key], value.numpy().astype(np.float16))


def test_the_hash_is_that_of_the_tensors(path: Path) -> None:
    digest = hashlib.sha256()
    for _, array in sorted(load_file(path).items()):
        digest.update(array.tobytes())
    with safe_open(path, "np") as file:
        about = file.metadata()
    assert about == {"ss_output_name": "naïve", "sshs_model_hash": f"0x{digest.hexdigest()}"}
    assert read(path)[1] == about


def test_the_same_tensors_make_the_same_bytes(path: Path) -> None:
    turned = dict(reversed(TENSORS.items()))
    assert to_bytes(turned, {"ss_output_name": "naïve"}) == path.read_bytes()


@pytest.mark.parametrize(("alpha", "dtype"), [(0.5, "float16"), (0.1, "float32"), (3.0, "float16")])
def test_an_alpha_is_never_rounded(path: Path, alpha: float, dtype: str) -> None:
    path.write_bytes(to_bytes({**TENSORS, "lora_unet_conv_in.alpha": torch.tensor(alpha)}, {}))
    stored = load_file(path)["lora_unet_conv_in.alpha"]
    assert stored.dtype == dtype and float(stored) == float(np.float32(alpha))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 70000.0])
def test_a_number_that_the_file_cannot_hold(value: float) -> None:
    with pytest.raises(
        AdapterFileError, match=r"'lora_unet_conv_in\.lora_up\.weight' holds a number"
    ):
        to_bytes({**TENSORS, "lora_unet_conv_in.lora_up.weight": torch.tensor([[value]])}, {})


@pytest.mark.parametrize("length", [0, 1, 7, 8, 40, -60, -1])
def test_a_file_that_is_cut_off(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(AdapterFileError, match="is cut off or no safetensors file"):
        read(path)


def test_random_bytes_and_appended_bytes(path: Path) -> None:
    whole = path.read_bytes()
    for content in (bytes(range(1, 200)), whole + b"\0" * 9, b"\xff" * 64):
        path.write_bytes(content)
        with pytest.raises(AdapterFileError, match="is cut off or no safetensors file"):
            read(path)


@pytest.mark.parametrize("name", ["a.pt", "a.ckpt", "renamed.safetensors"])
@pytest.mark.parametrize("old", [False, True])
def test_pickles_are_never_opened(tmp_path: Path, name: str, old: bool) -> None:
    torch.save(TENSORS, tmp_path / name, _use_new_zipfile_serialization=not old)
    with pytest.raises(AdapterFileError, match="is a pickle, which may run code"):
        read(tmp_path / name)


@pytest.mark.parametrize("start", [b"\x80\x02", b"PK"])
def test_a_header_as_long_as_a_pickle_begins(path: Path, start: bytes) -> None:
    """640 or 19 280 bytes of header: the file's first two bytes are those of a pickle or zip."""
    missing = int.from_bytes(start, "little") - int.from_bytes(path.read_bytes()[:8], "little")
    path.write_bytes(to_bytes(TENSORS, {"ss_output_name": "naïve" + "x" * missing}))
    assert path.read_bytes()[:2] == start
    assert read(path)[0].keys() == TENSORS.keys()


@pytest.mark.parametrize("arrays", [
    {}, {"model.diffusion_model.input_blocks.0.0.weight": np.zeros(3)}, {"conv.bias": np.zeros(3)},
])  # fmt: skip
def test_a_file_of_something_else(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    save_file(arrays, tmp_path / "base.safetensors")
    first = f"its first tensor is '{min(arrays)}'" if arrays else "it has no tensors"
    with pytest.raises(AdapterFileError, match=f"no adapter of .*lokr, lora.*: {first}"):
        read(tmp_path / "base.safetensors")


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(AdapterFileError, match="cannot be read: No such file"):
        read(tmp_path / "none.safetensors")
    with pytest.raises(AdapterFileError, match=r"is a folder without adapter_config\.json"):
        read(tmp_path)


def test_metadata_as_trainers_write_it() -> None:
    about = metadata(
        algorithm="lokr", preset="attn-mlp", options={"conv_dim": 0, "alpha": 2},
        name="study-lokr", lr=5e-4, seed=23, epoch=10, steps=0, resolution=(512, 512),
        tags={"1_cat": {"sitting": 3}},
    )  # fmt: skip
    assert json.loads(about.pop("ss_network_args")) == {
        "algo": "lokr", "preset": "attn-mlp", "factor": "8", "conv_dim": "0",
    }  # fmt: skip
    assert json.loads(about.pop("ss_tag_frequency")) == {"1_cat": {"sitting": 3}}
    assert about == {
        "ss_network_module": "lycoris.kohya",
        "ss_network_dim": "10000",
        "ss_network_alpha": "2",
        "ss_base_model_version": "sd_v1",
        "ss_v2": "False",
        "ss_output_name": "study-lokr",
        "ss_learning_rate": "0.0005",
        "ss_unet_lr": "0.0005",
        "ss_text_encoder_lr": "0.0005",
        "ss_seed": "23",
        "ss_epoch": "10",
        "ss_steps": "0",
        "ss_resolution": "(512, 512)",
    }
