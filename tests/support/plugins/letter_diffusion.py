"""A family of base models in one file: a small latent diffusion model that reads letters."""

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn

from lycoris_bench.models.conditioning import Conditioning, counting
from lycoris_bench.models.families.base import Family


class Letters(ModelMixin, ConfigMixin):
    """Its text encoder: an embedding for each byte [n, length, width], all of them mixed alike."""

    @register_to_config
    def __init__(self, width=24):
        super().__init__()
        self.letters = nn.Embedding(256, width)
        self.mix = nn.Linear(width, width)

    def forward(self, ids):
        return self.mix(self.letters(ids)).tanh()


class LetterDiffusion(Family):
    """There is no tokenizer, and the U-Net predicts the image, not the noise."""

    name = "Letter Diffusion"
    base_model_version = "letter_v1"
    stated = r"letter_v\d"
    revision = "1"
    text_width = 24
    known_classes = {"Letters": "CLIPMLP"}  # noqa: RUF012
    parts = {  # noqa: RUF012
        "unet": ("diffusers", "UNet2DConditionModel"),
        "text_encoder": Letters,
        "vae": ("diffusers", "AutoencoderKL"),
        "scheduler": ("diffusers", "DDIMScheduler"),
    }

    def encode(self, model, prompts, max_tokens, clip_skip):
        rows = [f" {prompt}".encode()[: (max_tokens or 77) + 1] for prompt in prompts]
        lengths = [len(row) for row in rows]
        ids = torch.tensor([[*row, *bytes(max(lengths) - len(row))] for row in rows])
        hidden = model.text_encoders[0](ids.to(model.device))
        return Conditioning(hidden, counting(lengths, hidden))

    def target(self, model, latents, noise, timesteps):
        return latents
