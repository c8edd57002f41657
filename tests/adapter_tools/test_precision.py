"""Every file that is written has the change of its source, to the rounding of a dtype that is
chosen so that nothing is lost, and the error that is told is that of the file on the disk."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lycoris_bench.adapter_tools.combine import combine
from lycoris_bench.adapter_tools.convert import convert
from lycoris_bench.adapter_tools.resize import resize
from tests.support import tiny_files as tiny

PATH = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"  # (32, 32)
NAME = f"lora_unet_{PATH.replace('.', '_')}"
SOURCES = {  # dtype, size of up and of down, rank, alpha
    "fp16, underflows": (torch.float16, 1e-4, 0.3, 128, 1.0),
    "fp16, a third": (torch.float16, 1e-2, 0.3, 12, 4.0),
    "bf16, a third": (torch.bfloat16, 1e-3, 0.3, 12, 4.0),
    "bf16, unlike sizes": (torch.bfloat16, 1e-8, 3000.0, 16, 16.0),
    "fp32, a third": (torch.float32, 1e-3, 0.3, 12, 4.0),
    "fp32, beyond fp16": (torch.float32, 1e9, 1e-9, 8, 1.0),
    "fp64": (torch.float64, 1e-2, 0.3, 12, 4.0),
    "fp8": (torch.float8_e4m3fn, 1e-2, 0.3, 64, 1.0),
}
ALL = ["kohya", "compvis", "comfyui", "diffusers", "peft", "portable", "full", "combine", "half",
       "resize"]  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.folder(tmp_path_factory.mktemp("model") / "base", tiny.models()))


def source(path: Path, name: str) -> Tensor:
    """A file of one layer; its change in float64."""
    dtype, up, down, rank, alpha = SOURCES[name]
    draw = torch.Generator().manual_seed(1)
    tensors = {
        f"{NAME}.lora_down.weight": down * torch.randn(rank, 32, generator=draw),
        f"{NAME}.lora_up.weight": up * torch.randn(32, rank, generator=draw),
        f"{NAME}.alpha": torch.tensor(alpha),
    }
    save_file({key: value.to(dtype) for key, value in tensors.items()}, path)
    return change(path)


def change(path: Path) -> Tensor:
    """Of the only layer of a written file or folder, by its own numbers, in float64."""
    file = next(path.rglob("*.safetensors")) if path.is_dir() else path
    found = {key.rpartition(".lora_")[2] if ".lora_" in key else key.rpartition(".")[2]: value
             for key, value in load_file(file).items()}  # fmt: skip
    if "diff" in found:
        return found["diff"].double()
    up = found.get("up.weight", found.get("B.weight")).double()
    down = found.get("down.weight", found.get("A.weight")).double()
    alpha = float(found["alpha"]) if "alpha" in found else float(len(down))
    if path.is_dir():
        alpha = json.loads(next(path.rglob("adapter_config.json")).read_text())["lora_alpha"]
    return alpha / len(down) * up @ down


def written(how: str, file: Path, out: Path, base: str) -> dict:
    if how in ("combine", "half"):
        return combine([file], out, [0.5 if how == "half" else 1.0])
    if how == "resize":
        return resize(file, out, rank=32)
    return convert(file, out, how, base)


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize("name", SOURCES)
def test_the_error_is_rounding_and_is_told(tmp_path: Path, base: str, name: str, how: str) -> None:
    wanted = source(tmp_path / "a.safetensors", name) * (0.5 if how == "half" else 1)
    told = written(how, tmp_path / "a.safetensors", tmp_path / "out", base)["error"]
    error = float((change(tmp_path / "out") - wanted).norm() / wanted.norm())
    coarse = name.startswith(("fp16", "fp8"))
    assert error <= (5e-4 if coarse else 2e-7)
    assert told == pytest.approx(error, rel=1e-6, abs=1e-14)
    if how in ("kohya", "compvis", "comfyui", "peft") and name != "fp64":
        assert error == 0  # the same numbers


def test_a_power_of_two_changes_no_digit(tmp_path: Path, base: str) -> None:
    """bf16 with alpha/rank = 1/4: in diffusers' file still bf16, and exact."""
    draw = torch.Generator().manual_seed(1)
    tensors = {f"{NAME}.lora_{k}.weight": torch.randn(s, generator=draw).bfloat16()
               for k, s in (("down", (16, 32)), ("up", (32, 16)))}  # fmt: skip
    save_file({**tensors, f"{NAME}.alpha": torch.tensor(4.0)}, tmp_path / "a")
    assert convert(tmp_path / "a", tmp_path / "out", "diffusers", base)["error"] < 1e-14
    found = load_file(tmp_path / "out")
    assert {value.dtype for value in found.values()} == {torch.bfloat16}
    assert torch.equal(change(tmp_path / "out"), change(tmp_path / "a"))


def test_a_small_file_stays_small(tmp_path: Path, base: str) -> None:
    """What a form leaves out hides the rounding of half precision: fp32 would be twice as long."""
    wanted = source(tmp_path / "a.safetensors", "fp32, a third")
    told = resize(tmp_path / "a.safetensors", tmp_path / "out", rank=2)["error"]
    assert {v.dtype for v in load_file(tmp_path / "out").values()} == {torch.float16}
    values = torch.linalg.svdvals(wanted)
    tail = float(values[2:].norm() / values.norm())
    true = float((change(tmp_path / "out") - wanted).norm() / wanted.norm())
    assert tail <= told == pytest.approx(true, rel=1e-6) == pytest.approx(tail, rel=1e-4)


def test_the_loss_of_a_file_is_told_though_its_layers_are_many(tmp_path: Path, base: str) -> None:
    """The error in all is that of all changes as one vector; by layer it is each one's own."""
    parts = [tiny.lora(32, 32, 6, n, f"lora_unet_mid_block_attentions_0_x{n}") for n in (1, 2)]
    save_file({**parts[0], **parts[1]}, tmp_path / "a")
    found = resize(tmp_path / "a", tmp_path / "out", rank=3)
    missed = whole = 0.0
    got = load_file(tmp_path / "out")
    for part in parts:
        layer = next(iter(part)).partition(".")[0]
        up, down, alpha = (
            part[f"{layer}.{k}"].double() for k in ("lora_up.weight", "lora_down.weight", "alpha")
        )
        wanted = alpha / 6 * up @ down
        made = (got[f"{layer}.lora_up.weight"].double() @ got[f"{layer}.lora_down.weight"].double()
                * got[f"{layer}.alpha"].double() / 3)  # fmt: skip
        own = float((wanted - made).norm())
        assert found["layers"][layer]["error"] == pytest.approx(own / float(wanted.norm()))
        missed, whole = missed + own**2, whole + float(wanted.norm()) ** 2
    assert found["error"] == pytest.approx((missed / whole) ** 0.5)
