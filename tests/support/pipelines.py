"""Tiny random models of the real classes, with the pipelines that load adapters into them."""

from typing import Any

import torch
from torch import Tensor, nn

Models = tuple[nn.Module, ...]
TEXT = {
    "vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "projection_dim": 16,
    "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 8,
    "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip


def sd() -> Models:
    """Stable Diffusion in small: a U-Net and a text encoder, the same every time."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(1)
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 32), layers_per_block=1, cross_attention_dim=16,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=4, norm_num_groups=8,
    )  # fmt: skip
    return unet.eval(), CLIPTextModel(CLIPTextConfig(**TEXT)).eval()


def sdxl() -> Models:
    """Stable Diffusion XL in small: two text encoders, two transformer layers in a row."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(1)
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 32), layers_per_block=1, cross_attention_dim=32,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4), norm_num_groups=8, transformer_layers_per_block=(1, 2),
        use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=8, projection_class_embeddings_input_dim=64,
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

    parts: dict[str, Any] = {"unet": models[0], "text_encoder": models[1], "vae": None,
                             "tokenizer": None, "scheduler": DDIMScheduler()}  # fmt: skip
    if len(models) == 3:
        parts |= {"text_encoder_2": models[2], "tokenizer_2": None}
        return StableDiffusionXLPipeline(**parts)
    return StableDiffusionPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
