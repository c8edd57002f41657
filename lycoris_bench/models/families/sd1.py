"""Stable Diffusion 1.x, with one CLIP text encoder; models without a mark are taken for it."""

import torch

from lycoris_bench.models.families.base import Family, TextInFile
from lycoris_bench.models.parts import Outline


class SD1(Family):
    """The U-Net predicts noise from embeddings of width 768."""

    name = "Stable Diffusion 1"
    base_model_version = "sd_v1"
    stated = r"sd_?v?1|stable-diffusion-v?1"
    texts_in_file = (TextInFile("cond_stage_model.transformer."),)
    text_width = 768

    def outline_of(self, name: str) -> Outline | None:
        if not name.rpartition("/")[2].startswith("stable-diffusion-v1"):
            return None
        from diffusers import UNet2DConditionModel
        from transformers import CLIPTextConfig, CLIPTextModel

        clip = CLIPTextConfig(
            vocab_size=49408, hidden_size=768, intermediate_size=3072, projection_dim=768,
            num_hidden_layers=12, num_attention_heads=12,
        )  # fmt: skip
        with torch.device("meta"):
            unet = UNet2DConditionModel(
                sample_size=64, cross_attention_dim=768, attention_head_dim=8
            )
            return Outline(unet, (CLIPTextModel(clip),))
