"""Well-known base models as shapes without weights: enough to count what an adapter trains."""

from typing import Any, NamedTuple

import torch


class Outline(NamedTuple):
    """U-Net and text encoder on the meta device, where tensors take no memory."""

    unet: Any
    text_encoder: Any


def outline(name: str) -> Outline | None:
    """Of Stable Diffusion 1.x by its hub id; None for a model that is not known by name."""
    if not name.rpartition("/")[2].startswith("stable-diffusion-v1"):
        return None
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    clip = CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, projection_dim=768,
        num_hidden_layers=12, num_attention_heads=12,
    )  # fmt: skip
    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
        return Outline(unet, CLIPTextModel(clip))
