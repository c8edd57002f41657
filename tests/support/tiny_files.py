"""The tests' Stable Diffusion on the disk in every layout, and adapters for it."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from lycoris_bench.adapters import attach
from lycoris_bench.adapters.formats import adapter_file
from tests.support.stable_diffusion import Models, models

__all__ = ["Models", "adapter", "compvis", "folder", "lora", "models", "single_file", "write"]

# CompVis's parts of this U-Net beside diffusers': blocks of one layer, attention in the first.
COMPVIS = {
    "time_embed.0": "time_embedding.linear_1", "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "input_blocks.1.0": "down_blocks.0.resnets.0", "input_blocks.1.1": "down_blocks.0.attentions.0",
    "input_blocks.2.0.op": "down_blocks.0.downsamplers.0.conv",
    "input_blocks.3.0": "down_blocks.1.resnets.0",
    "middle_block.0": "mid_block.resnets.0", "middle_block.1": "mid_block.attentions.0",
    "middle_block.2": "mid_block.resnets.1",
    "output_blocks.0.0": "up_blocks.0.resnets.0", "output_blocks.1.0": "up_blocks.0.resnets.1",
    "output_blocks.1.1.conv": "up_blocks.0.upsamplers.0.conv",
    "output_blocks.2.0": "up_blocks.1.resnets.0", "output_blocks.2.1": "up_blocks.1.attentions.0",
    "output_blocks.3.0": "up_blocks.1.resnets.1", "output_blocks.3.1": "up_blocks.1.attentions.1",
    "out.0": "conv_norm_out", "out.2": "conv_out",
}  # fmt: skip
INSIDE = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip


def folder(root: Path, pair: Models, **options: object) -> Path:
    """The two as a pipeline's folder, with other files around them."""
    unet, text_encoder = pair
    unet.save_pretrained(root / "unet", **options)
    text_encoder.save_pretrained(root / "text_encoder")
    (root / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    (root / "vae").mkdir()
    (root / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"not looked at")
    return root


def single_file(path: Path, pair: Models, dtype: torch.dtype = torch.float32) -> Path:
    """The two as a CompVis checkpoint, with a VAE's tensor and an integer beside them."""
    unet, text_encoder = pair
    tensors = {f"model.diffusion_model.{compvis(k)}": v for k, v in unet.state_dict().items()}
    for key, value in text_encoder.state_dict().items():
        level = "" if key.startswith("text_model.") else "text_model."
        tensors[f"cond_stage_model.transformer.{level}{key}"] = value
    tensors = {key: value.to(dtype).contiguous() for key, value in tensors.items()}
    tensors["first_stage_model.decoder.conv_in.weight"] = torch.arange(12.0).reshape(3, 4)
    tensors["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(8)
    save_file(tensors, path, {"modelspec.title": "tiny", "sshs_model_hash": "0xold"})
    return path


def compvis(key: str) -> str:
    """A key of the U-Net as CompVis has it, by the table above."""
    theirs, ours = max(
        ((t, o) for t, o in COMPVIS.items() if key.startswith(f"{o}.")), key=lambda x: len(x[1])
    )
    rest = key[len(ours) + 1 :]
    head, dot, kind = rest.rpartition(".")
    return f"{theirs}.{INSIDE.get(head, head)}{dot}{kind}"


def adapter(
    path: Path,
    pair: Models,
    algorithm: str = "lora",
    preset: str = "full",
    size: float = 0.1,
    seed: int = 3,
    **options: object,
) -> Path:
    """A file of random numbers for the two models."""
    made = attach.attach(*pair, preset, algorithm, options, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=size)
    tensors = made.tensors()
    made.detach()
    return write(path, tensors)


def write(path: Path, tensors: Mapping[str, Tensor], **metadata: str) -> Path:
    """An adapter file of these tensors."""
    path.write_bytes(adapter_file.to_bytes(tensors, metadata))
    return path


def lora(outputs: int, inputs: int, rank: int, seed: int, name: str) -> dict[str, Tensor]:
    """A random LoRA of one linear layer, alpha half the rank."""
    generator = torch.Generator().manual_seed(seed)
    return {
        f"{name}.lora_up.weight": torch.randn(outputs, rank, generator=generator),
        f"{name}.lora_down.weight": torch.randn(rank, inputs, generator=generator),
        f"{name}.alpha": torch.tensor(rank / 2),
    }
