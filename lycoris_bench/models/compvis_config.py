"""Derives the configurations of U-Net and VAE from the shapes of a CompVis checkpoint, for any
width and depth."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

UNET = "model.diffusion_model."
VAE = "first_stage_model."
HEADS, HEAD_WIDTH = 8, 64  # the first U-Nets have 8 heads at every width, later ones heads of 64


def unet(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Keywords of `UNet2DConditionModel`."""
    parts = {n.removeprefix(UNET): t for n, t in tensors.items() if n.startswith(UNET)}
    widths, depths, layers = _levels(parts)
    entry = next(name.rpartition(".transformer_blocks")[0] for name in parts if "attn2" in name)
    linear = parts[f"{entry}.proj_in.weight"].ndim == 2
    return {
        "in_channels": parts["input_blocks.0.0.weight"].shape[1],
        "out_channels": parts["out.2.weight"].shape[0],
        "block_out_channels": tuple(widths),
        "layers_per_block": layers,
        "down_block_types": tuple(
            "CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths
        ),
        "up_block_types": tuple(
            "CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(depths)
        ),
        "transformer_layers_per_block": tuple(max(1, depth) for depth in depths),
        "cross_attention_dim": parts[f"{entry}.transformer_blocks.0.attn2.to_k.weight"].shape[1],
        "use_linear_projection": linear,
        "attention_head_dim": tuple(
            max(1, width // HEAD_WIDTH) if linear else HEADS for width in widths
        ),
    }


def _levels(parts: Mapping[str, Tensor]) -> tuple[list[int], list[int], int]:
    """Channels and transformer depth of each level, and residual blocks a level."""
    widths: list[int] = []
    depths: list[int] = []
    number, layers, fresh = 1, 0, True
    while any(name.startswith(f"input_blocks.{number}.") for name in parts):
        block = f"input_blocks.{number}"
        if f"{block}.0.op.weight" in parts:
            fresh = True
        else:
            if fresh:
                widths.append(parts[f"{block}.0.out_layers.3.weight"].shape[0])
                depths.append(_count(parts, f"{block}.1.transformer_blocks"))
            layers += len(widths) == 1
            fresh = False
        number += 1
    return widths, depths, layers


def vae(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Keywords of `AutoencoderKL`; the scale of latents is the family's."""
    parts = {n.removeprefix(VAE): t for n, t in tensors.items() if n.startswith(VAE)}
    levels = _count(parts, "encoder.down")
    return {
        "block_out_channels": tuple(
            parts[f"encoder.down.{k}.block.0.conv2.weight"].shape[0] for k in range(levels)
        ),
        "layers_per_block": _count(parts, "encoder.down.0.block"),
        "latent_channels": parts["post_quant_conv.weight"].shape[0],
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
    }


def _count(parts: Mapping[str, Tensor], part: str) -> int:
    """The number of numbered modules under `part.`."""
    pattern = re.compile(re.escape(part) + r"\.(\d+)\.")
    return len({match[1] for name in parts if (match := pattern.match(name))})
