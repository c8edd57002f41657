"""A number that the dtype of its place cannot hold is refused, by layer, size and limit."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lycoris_bench.adapter_tools.combine import combine
from lycoris_bench.adapter_tools.convert import convert
from lycoris_bench.adapter_tools.extract import extract
from lycoris_bench.adapter_tools.merge import merge
from lycoris_bench.adapter_tools.resize import resize
from lycoris_bench.messages.errors import BenchError
from tests.support import tiny_files as tiny

PATH = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"  # (32, 32)
NAME = f"lora_unet_{PATH.replace('.', '_')}"
PART = "unet/diffusion_pytorch_model.safetensors"


def adapter(
    path: Path, size: float, alpha: float = 1.0, dtype: torch.dtype = torch.float32
) -> Path:
    """ΔW is `size` times alpha, everywhere."""
    tensors = {f"{NAME}.lora_down.weight": torch.ones(1, 32), f"{NAME}.alpha": torch.tensor(alpha),
               f"{NAME}.lora_up.weight": torch.full((32, 1), size)}  # fmt: skip
    save_file({key: value.to(dtype) for key, value in tensors.items()}, path)
    return path


def model(root: Path, dtype: torch.dtype) -> Path:
    base = tiny.folder(root / "base", tiny.models())
    state = {key: value.to(dtype) for key, value in load_file(base / PART).items()}
    save_file(state, base / PART)
    return base


@pytest.mark.parametrize(("dtype", "fits", "beyond", "said"), [
    (torch.float16, 6e4, 7e4, r"7e\+04, and float16 holds finite numbers up to 6.55e\+04"),
    (torch.float8_e4m3fn, 400, 500, "500, and float8_e4m3fn holds finite numbers up to 448"),
    (torch.float8_e5m2, 5e4, 7e4, r"7e\+04, and float8_e5m2 holds finite numbers up to 5.73e\+04"),
    (torch.bfloat16, 1e37, None, ""), (torch.float32, 1e37, None, ""),
])  # fmt: skip
def test_merge_writes_what_the_base_dtype_holds_and_no_more(
    tmp_path: Path, dtype: torch.dtype, fits: float, beyond: float | None, said: str
) -> None:
    base = model(tmp_path, dtype)
    before = load_file(base / PART)[f"{PATH}.weight"].float()
    merge(str(base), [adapter(tmp_path / "a", fits)], tmp_path / "out")
    found = load_file(tmp_path / "out" / PART)[f"{PATH}.weight"]
    assert found.dtype == dtype and torch.equal(found, (before + fits).to(dtype))
    if beyond is None:
        return
    with pytest.raises(BenchError, match=rf"{PATH} \(weight\): its largest number is {said}"):
        merge(str(base), [adapter(tmp_path / "b", beyond)], tmp_path / "no")
    assert not (tmp_path / "no").exists() and not list(tmp_path.glob(".*"))


def test_two_files_may_leave_the_range_together(tmp_path: Path) -> None:
    base = model(tmp_path, torch.float16)
    files = [adapter(tmp_path / "a", 4e4), adapter(tmp_path / "b", 4e4 + 32)]
    with pytest.raises(BenchError, match=r"8e\+04, and float16"):
        merge(str(base), files, tmp_path / "no")
    merge(str(base), files, tmp_path / "out", [1.0, -1.0])
    got = load_file(tmp_path / "out" / PART)[f"{PATH}.weight"].float()
    want = load_file(base / PART)[f"{PATH}.weight"].float() - 32
    assert torch.allclose(got, want, rtol=0, atol=2**-6 + 2**-8)  # half a step, and fp32's at 4e4


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e39, -7e4])
def test_strengths_and_weights_are_numbers_of_a_file(tmp_path: Path, value: float) -> None:
    file = adapter(tmp_path / "a", 1.0)
    for command, name in ((lambda: combine([file], tmp_path / "no", [value]), "--weight"),
                          (lambda: merge("no-model", [file], tmp_path / "no", [value]),
                           "--strength")):  # fmt: skip
        with pytest.raises(BenchError, match=f"{name} is .*; a number from -65504 to 65504 is"):
            command()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_change_beyond_half_precision_is_written_in_fp32(tmp_path: Path) -> None:
    """alpha of 4e4 on factors of 30: 1.2e6 in every place, which fp16 has not."""
    base = str(tiny.folder(tmp_path / "base", tiny.models()))
    file = adapter(tmp_path / "a", 30.0, 4e4, torch.float16)
    for to in ("diffusers", "portable", "full"):
        convert(file, tmp_path / to, to, base)
        found = load_file(tmp_path / to)
        product = found[f"{NAME}.diff"] if to == "full" else _product(found)
        assert torch.allclose(product.double(), torch.full((32, 32), 1.2e6).double(), rtol=1e-3)


def _product(found: dict[str, Tensor]) -> Tensor:
    up, down = (
        next(value for key, value in found.items() if end[0] in key or end[1] in key).double()
        for end in ((".lora_up", "lora_B"), (".lora_down", "lora_A"))
    )
    return float(next((v for k, v in found.items() if k.endswith("alpha")), 1.0)) * up @ down


@pytest.mark.parametrize("command", ["full", "diffusers", "combine", "resize"])
def test_what_fp32_cannot_hold_is_refused(tmp_path: Path, command: str) -> None:
    """A product of 1e60 in fp64's arithmetic; nothing is written, nothing left behind."""
    base = str(tiny.folder(tmp_path / "base", tiny.models()))
    file = adapter(tmp_path / "a", 1e30, 1e30)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BenchError, match=f"{NAME}.*float32"):
        if command == "combine":
            combine([file, adapter(file, 1e30, 3e38)], tmp_path / "sub" / "no", [1.0, 65000.0])
        elif command == "resize":
            resize(adapter(file, 3e38, 3e38), tmp_path / "sub" / "no", rank=1)
        else:
            convert(adapter(file, 3e38, 3e38), tmp_path / "sub" / "no", command, base)
    assert sorted(tmp_path.iterdir()) == before


def test_a_difference_beyond_half_precision_is_fp32(tmp_path: Path) -> None:
    base = tiny.folder(tmp_path / "base", tiny.models())
    pair = tiny.models()
    pair[0].state_dict()[f"{PATH}.weight"].fill_(1e6)
    after = tiny.folder(tmp_path / "after", pair)
    extract(str(base), str(after), tmp_path / "out", "full")
    found = load_file(tmp_path / "out")[f"{NAME}.diff"]
    want = 1e6 - load_file(base / PART)[f"{PATH}.weight"].double()
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), want, rtol=1e-7)


def test_weights_of_whole_numbers_take_no_change(tmp_path: Path) -> None:
    base = model(tmp_path, torch.int8)
    with pytest.raises(BenchError, match=f"{PATH} is stored as int8 .*: give an unquantized model"):
        merge(str(base), [adapter(tmp_path / "a", 1.0)], tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_strength_0_is_the_base_bit_by_bit(tmp_path: Path) -> None:
    base = model(tmp_path, torch.float64)
    merge(str(base), [adapter(tmp_path / "a", 1.0)], tmp_path / "out", [0.0])
    assert (tmp_path / "out" / PART).read_bytes()[-64:] == (base / PART).read_bytes()[-64:]
    one, two = (load_file(place / PART) for place in (base, tmp_path / "out"))
    assert all(torch.equal(one[key], two[key]) for key in one)
