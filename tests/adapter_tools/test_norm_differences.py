"""Differences of norms under the names of any layer, as some trainers write them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lycoris_bench.adapter_tools.combine import combine
from lycoris_bench.adapter_tools.convert import convert
from lycoris_bench.adapter_tools.layer import NeedsModel
from lycoris_bench.adapter_tools.merge import merge
from lycoris_bench.adapter_tools.resize import resize
from lycoris_bench.adapter_tools.source import NORM
from lycoris_bench.messages.errors import BenchError
from tests.support import tiny_files as tiny

NAME = "lora_unet_down_blocks_0_resnets_0_norm1"
LAYER = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_q"
SHIFT = {f"{NAME}.diff": torch.arange(16.0), f"{NAME}.diff_b": torch.ones(16)}
LORA = tiny.lora(16, 16, 4, 1, LAYER)


def written(path: Path, *parts: dict[str, Tensor]) -> Path:
    save_file({key: value for part in parts for key, value in part.items()}, path)
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.folder(tmp_path_factory.mktemp("model") / "base", tiny.models()))


@pytest.mark.parametrize("with_model", [False, True])
def test_resize_keeps_them(tmp_path: Path, base: str, with_model: bool) -> None:
    file, out = written(tmp_path / "a", SHIFT, LORA), tmp_path / "out"
    for sizes in ({"energy": 0.5}, {"megabytes": 0.002}, {"rank": 2}):
        found = resize(file, out, model=base if with_model else None, force=True, **sizes)
        made = load_file(out)
        assert all(torch.equal(made[key], value) for key, value in SHIFT.items())
        assert found["kept"] == sorted(SHIFT) and found["status"] == 0
    assert len(made[f"{LAYER}.lora_down.weight"]) == 2


@pytest.mark.parametrize("with_model", [False, True])
def test_portable_names_them(tmp_path: Path, base: str, with_model: bool) -> None:
    file = written(tmp_path / "a", SHIFT, LORA)
    found = convert(file, tmp_path / "out", "portable", base if with_model else None)
    assert found["status"] == 1 and found["left_out"] == [f"{NAME}: Full with diff_b of a norm"]
    assert load_file(tmp_path / "out").keys() == LORA.keys()
    with pytest.raises(BenchError, match="nothing that a plain LoRA can say.*of a norm"):
        convert(written(tmp_path / "b", SHIFT), tmp_path / "no", "portable")


def test_they_stay_in_every_other_form(tmp_path: Path, base: str) -> None:
    file = written(tmp_path / "a", SHIFT, LORA)
    for model in (base, None):
        for to in ("kohya", "full"):
            convert(file, tmp_path / "out", to, model, force=True)
            made = load_file(tmp_path / "out")
            assert all(torch.equal(made[key].float(), value) for key, value in SHIFT.items())
    merge(base, [file], tmp_path / "merged", [0.5])
    before, after = (load_file(root / "unet" / "diffusion_pytorch_model.safetensors")
                     for root in (Path(base), tmp_path / "merged"))  # fmt: skip
    path = "down_blocks.0.resnets.0.norm1"
    moved = after[f"{path}.weight"] - before[f"{path}.weight"]
    assert torch.allclose(moved, 0.5 * torch.arange(16.0))
    assert torch.allclose(after[f"{path}.bias"] - before[f"{path}.bias"], torch.full((16,), 0.5))


def test_combine_adds_both_spellings(tmp_path: Path) -> None:
    other = {f"{NAME}.w_norm": torch.ones(16), f"{NAME}.b_norm": torch.full((16,), 3.0)}
    alone = {f"{NAME}.diff_b": torch.full((16,), 5.0)}
    files = [written(tmp_path / name, one) for name, one in zip("abc", (SHIFT, other, alone),
                                                               strict=True)]  # fmt: skip
    found = combine(files, tmp_path / "out", [2.0, 3.0, 1.0])
    made = load_file(tmp_path / "out")
    assert made.keys() == {f"{NAME}.w_norm", f"{NAME}.b_norm"} and found["error"] == 0
    assert torch.equal(made[f"{NAME}.w_norm"], 2 * torch.arange(16.0) + 3)
    assert torch.equal(made[f"{NAME}.b_norm"], torch.full((16,), 2.0 + 9 + 5))
    combine(files[:1], tmp_path / "half", [0.5])
    assert torch.equal(load_file(tmp_path / "half")[f"{NAME}.diff"], torch.arange(16.0) / 2)


def test_combine_adds_a_bias_to_a_layer(tmp_path: Path) -> None:
    shift = written(tmp_path / "b", {f"{LAYER}.diff_b": torch.ones(16)})
    found = combine([written(tmp_path / "a", LORA), shift], tmp_path / "out", [1.0, 2.0])
    made = load_file(tmp_path / "out")
    assert torch.equal(made[f"{LAYER}.diff_b"], torch.full((16,), 2.0)) and found["error"] < 1e-6
    up, down = (made[f"{LAYER}.lora_{side}.weight"].double() for side in ("up", "down"))
    own = [LORA[f"{LAYER}.lora_{side}.weight"].double() for side in ("up", "down")]
    ratio = float(made[f"{LAYER}.alpha"]) / len(down)
    assert torch.allclose(ratio * up @ down, 0.5 * own[0] @ own[1], atol=1e-5)


@pytest.mark.parametrize("with_model", [False, True])
def test_a_flat_difference_of_a_layer_is_a_sentence(
    tmp_path: Path, base: str, with_model: bool
) -> None:
    file = written(tmp_path / "a", {f"{LAYER}.diff": torch.ones(256)})
    model, out = base if with_model else None, tmp_path / "out"
    for command in (lambda: resize(file, out, rank=2, model=model),
                    lambda: convert(file, out, "portable", model),
                    lambda: convert(file, out, "full", model)):  # fmt: skip
        with pytest.raises((NeedsModel, BenchError), match=f"{LAYER}: its .*shape \\(256,\\)"):
            command()
    assert not out.exists()


def test_names_of_norms() -> None:
    norms = ("lora_unet_down_blocks_0_resnets_0_norm2", "lora_unet_conv_norm_out",
             "lora_te_text_model_encoder_layers_0_layer_norm1", "lora_unet_out_0",
             "lora_te_text_model_final_layer_norm", "lora_unet_input_blocks_1_0_in_layers_0",
             "lora_unet_input_blocks_1_0_out_layers_0", "diffusion_model.out.0",
             "lora_transformer_transformer_blocks_0_attn_norm_added_q")  # fmt: skip
    layers = ("lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_out_0",
              "lora_transformer_transformer_blocks_0_norm1_linear", "lora_unet_out_2",
              "lora_transformer_norm_out_linear", "lora_unet_input_blocks_1_0_in_layers_2",
              )  # fmt: skip
    assert all(NORM.search(name) for name in norms)
    assert not any(NORM.search(name) for name in layers)
