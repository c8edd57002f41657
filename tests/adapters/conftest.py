"""Small random models of the real classes."""

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture
def models() -> tuple[nn.Module, nn.Module]:
    """A random U-Net of 0.3 M parameters and a CLIP text encoder, of the real classes."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(1)
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 32), layers_per_block=1, cross_attention_dim=16,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=4, norm_num_groups=8,
    )  # fmt: skip
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=64, hidden_size=16, intermediate_size=32, projection_dim=16,
            num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=8,
        )
    )  # fmt: skip
    return unet.eval(), text_encoder.eval()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Latents, time steps and token ids for `predict`."""
    generator = torch.Generator().manual_seed(2)
    latents = torch.randn(2, 4, 8, 8, generator=generator)
    return latents, torch.tensor([3, 700]), torch.randint(0, 64, (2, 8), generator=generator)
