"""Base models as shapes without weights: enough to count what an adapter trains."""

from pathlib import Path
from typing import Any, NamedTuple

import torch

from lycoris_bench.models.hub import BackboneError, locate


class Outline(NamedTuple):
    """U-Net and text encoders on the meta device, where tensors take no memory."""

    unet: Any
    text_encoders: tuple[Any, ...]


def outline(name: str) -> Outline | None:
    """Of a pipeline's folder or a hub id that is here, by its configurations; of Stable Diffusion
    1.x by its name alone. None for what must be loaded to be known, or is not there."""
    try:
        place = locate(name)
    except BackboneError:
        return _stable_diffusion() if _is_stable_diffusion(name) else None
    if place.is_file():
        return None
    try:
        return _of_folder(place)
    except Exception as error:  # whatever is wrong in a file, its reader raises its own kind
        reason = " ".join(str(error).split())[:300]
        raise BackboneError(f"base model '{name}' cannot be read: {reason}") from error


def _is_stable_diffusion(name: str) -> bool:
    return name.rpartition("/")[2].startswith("stable-diffusion-v1")


def _of_folder(folder: Path) -> Outline:
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    kinds = {"text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection}
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder / "unet"))
        texts = [
            kind(CLIPTextConfig.from_pretrained(folder / name))
            for name, kind in kinds.items()
            if (folder / name).is_dir()
        ]
    return Outline(unet, tuple(texts))


def _stable_diffusion() -> Outline:
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    clip = CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, projection_dim=768,
        num_hidden_layers=12, num_attention_heads=12,
    )  # fmt: skip
    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
        return Outline(unet, (CLIPTextModel(clip),))
