"""What a user is told of the programs that will read a converted file."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lycoris_bench.adapter_tools.combine import combine
from lycoris_bench.adapter_tools.convert import convert
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from tests.support import tiny_files as tiny

UP = "up_blocks.0.upsamplers.0.conv"
CROSS = "down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k"  # which only SDXL has so deep


def model(root: Path, **parts: dict[str, torch.Tensor]) -> str:
    for part, tensors in parts.items():
        (root / part).mkdir(parents=True)
        save_file({f"{k}.weight": v for k, v in tensors.items()}, root / part / "a.safetensors")
    return str(root)


def test_the_webui_finds_one_layer_of_sdxl_under_compvis_names_only(tmp_path: Path) -> None:
    resnets = {f"up_blocks.0.resnets.{k}.conv1": torch.zeros(4, 4, 3, 3) for k in range(3)}
    attention = {f"up_blocks.0.attentions.{k}.proj_in": torch.zeros(4, 4) for k in range(3)}
    resnets["down_blocks.1.resnets.0.conv1"] = torch.zeros(4, 4, 3, 3)
    unet = {UP: torch.zeros(4, 4, 3, 3), CROSS: torch.zeros(4, 2048), **resnets, **attention}
    base = model(tmp_path / "base", unet=unet)
    names = {place: f"lora_unet_{place.replace('.', '_')}" for place in (UP, CROSS)}
    save_file({f"{names[UP]}.diff": torch.ones(4, 4, 3, 3),
               f"{names[CROSS]}.diff": torch.ones(4, 2048)}, tmp_path / "a")  # fmt: skip
    found = convert(tmp_path / "a", tmp_path / "kohya", "kohya", base)
    assert found["warnings"] == [f"A1111's webui (1.10) finds {UP} of Stable Diffusion XL under "
                                 "CompVis names only: --to compvis"]  # fmt: skip
    assert found["status"] == 0
    found = convert(tmp_path / "a", tmp_path / "compvis", "compvis", base)
    assert not found["warnings"]
    assert "lora_unet_output_blocks_2_2_conv.diff" in load_file(tmp_path / "compvis")


def test_text_encoders_under_lycoris_names(tmp_path: Path) -> None:
    pair = tiny.models()
    base = str(tiny.folder(tmp_path / "base", pair))
    for preset, told in (("attn-only", 1), ("unet-transformer-only", 0)):
        file = tiny.adapter(tmp_path / preset, pair, "lora", preset, dim=2)
        found = convert(file, tmp_path / f"{preset}.out", "lycoris", base)
        assert len(found["warnings"]) == told
        assert all(key.startswith("lycoris_") for key in load_file(tmp_path / f"{preset}.out"))


def test_lycoris_names_of_two_text_encoders_are_one(tmp_path: Path) -> None:
    """They say no model: what is both encoders' cannot be written under them."""
    path = "text_model.encoder.layers.0.mlp.fc1"
    layers = {path: torch.zeros(4, 4)}
    base = model(tmp_path / "base", text_encoder=layers, text_encoder_2=layers)
    save_file({f"lora_te{n}_{path.replace('.', '_')}.diff": torch.ones(4, 4) for n in (1, 2)},
              tmp_path / "a")  # fmt: skip
    with pytest.raises(AdapterFileError, match="would be written twice: lora_te2_"):
        convert(tmp_path / "a", tmp_path / "out", "lycoris", base)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "base"]


def test_biases_of_slices_in_full_files_of_transformers(tmp_path: Path) -> None:
    place = "transformer_blocks.0.attn.to_q"
    (tmp_path / "base" / "transformer").mkdir(parents=True)
    weights = {f"{place}.weight": torch.zeros(4, 4), f"{place}.bias": torch.zeros(4)}
    save_file(weights, tmp_path / "base" / "transformer" / "a.safetensors")
    base = str(tmp_path / "base")
    name = f"lora_transformer_{place.replace('.', '_')}"
    save_file({f"{name}.diff": torch.ones(4, 4), f"{name}.diff_b": torch.ones(4)}, tmp_path / "a")
    found = convert(tmp_path / "a", tmp_path / "out", "full", base)
    assert "ComfyUI loses the biases of q, k and v" in found["warnings"][0]


def test_a_rank_bounds_a_single_file_too(tmp_path: Path) -> None:
    """`combine --rank` of one LoRA is its nearest LoRA of that rank, not the file as it is."""
    tensors = tiny.lora(16, 16, 6, 1, "lora_unet_x")
    save_file(tensors, tmp_path / "a")
    found = combine([tmp_path / "a"], tmp_path / "out", rank=2)
    up, down = (tensors[f"lora_unet_x.lora_{k}.weight"].double() for k in ("up", "down"))
    values = torch.linalg.svdvals(up @ down)
    assert found["how"] == {"nearest LoRA (SVD)": 1}
    assert abs(found["error"] - float(values[2:].norm() / values.norm())) < 1e-4
    assert combine([tmp_path / "a"], tmp_path / "same", rank=6)["error"] < 1e-14
