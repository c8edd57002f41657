"""The tests' Stable Diffusion and an XL like it, and the pipelines that load adapters into them."""

from typing import Any

import torch
from torch import Tensor, nn

from tests.support.stable_diffusion import TEXT, UNET, models

Models = tuple[nn.Module, ...]


def sd() -> Models:
    return models()


def sdxl() -> Models:
    """Stable Diffusion XL in small: two text encoders, two transformer layers in a row."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.default_generator.manual_seed(1)
    unet = UNet2DConditionModel(
        **UNET | {
            "cross_attention_dim": 32, "attention_head_dim": (2, 4),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        },
        transformer_layers_per_block=(1, 2), use_linear_projection=True,
        addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=64,
    )  # fmt: skip
    texts = [kind(CLIPTextConfig(**TEXT)) for kind in (CLIPTextModel, CLIPTextModelWithProjection)]
    return (unet.eval(), *(text.eval() for text in texts))


@torch.no_grad()
def predict(models: Models) -> Tensor:
    """The noise prediction, through all models."""
    generator = torch.Generator().manual_seed(2)
    latents = torch.randn(2, 4, 8, 8, generator=generator)
    tokens = torch.randint(2, 64, (2, 8), generator=generator)
    steps, first = torch.tensor([3, 700]), models[1](tokens)
    if len(models) == 2:
        return models[0](latents, steps, first.last_hidden_state).sample
    second = models[2](tokens)
    context = torch.cat([first.last_hidden_state, second.last_hidden_state], -1)
    added = {"text_embeds": second.text_embeds, "time_ids": torch.ones(2, 6)}
    return models[0](latents, steps, context, added_cond_kwargs=added).sample


def pipeline(models: Models) -> Any:
    """diffusers' own pipeline around them, for its loaders."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline

    scheduler = DDIMScheduler(steps_offset=1, clip_sample=False)
    parts: dict[str, Any] = {"unet": models[0], "text_encoder": models[1], "vae": None,
                             "tokenizer": None, "scheduler": scheduler}  # fmt: skip
    if len(models) == 3:
        parts |= {"text_encoder_2": models[2], "tokenizer_2": None}
        return StableDiffusionXLPipeline(**parts)
    return StableDiffusionPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
