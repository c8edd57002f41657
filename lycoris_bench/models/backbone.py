"""The base model: a Stable Diffusion pipeline's parts, and the few things that training and
sampling ask of them. SD 1.x, SD 2.x and SDXL differ in nothing that is seen from outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lycoris_bench.models import pipeline_folder, single_file
from lycoris_bench.models.clip_tokenizer import chunked
from lycoris_bench.models.conditioning import Conditioning, encode
from lycoris_bench.models.hub import BackboneError, fingerprint, locate

__all__ = ["Backbone", "BackboneError", "Conditioning", "fingerprint"]


@dataclass(frozen=True, eq=False)
class Backbone:
    """U-Net, text encoders, VAE, tokenizers and the noise schedule, on one device and frozen."""

    unet: Any
    text_encoders: tuple[Any, ...]  # two for SDXL, and a tokenizer for each
    vae: Any
    tokenizers: tuple[Any, ...]
    scheduler: Any  # a DDIMScheduler, whatever the pipeline's own is
    device: torch.device
    dtype: torch.dtype
    zero_empty: bool = False  # SDXL is guided away from zeros, not from an empty prompt

    @classmethod
    def load(
        cls, path: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> "Backbone":
        """From a pipeline's folder, a hub id in the local cache, or a single .safetensors file.

        Raises `BackboneError`, one sentence, where it is missing or broken."""
        place = locate(path)
        try:
            parts = (single_file if place.is_file() else pipeline_folder).read(place)
            return cls.of(parts, device, dtype)
        except Exception as error:  # whatever is wrong in a file, its reader raises its own kind
            reason = " ".join(str(error).split())[:300]
            raise BackboneError(f"base model '{path}' cannot be loaded: {reason}") from error

    @classmethod
    def of(
        cls, parts: pipeline_folder.Parts, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> "Backbone":
        """Of parts in memory, which are moved and frozen; `BackboneError` for a foreign kind."""
        _check(parts)
        # SDXL's VAE overflows in fp16.
        vae_dtype = torch.float32 if len(parts.text_encoders) > 1 else dtype
        with pipeline_folder.quiet():
            for model in (parts.unet, *parts.text_encoders):
                model.to(device, dtype).eval().requires_grad_(False)
            parts.vae.to(device, vae_dtype).eval().requires_grad_(False)
        for tokenizer, encoder in zip(parts.tokenizers, parts.text_encoders, strict=True):
            # Where its file names no length, it says 10^30.
            positions = encoder.config.max_position_embeddings
            tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
        return cls(
            parts.unet, parts.text_encoders, parts.vae, parts.tokenizers, parts.scheduler,
            torch.device(device), dtype, parts.zero_empty,
        )  # fmt: skip

    @property
    def text_encoder(self) -> Any:
        """The first text encoder, which is the only one but for SDXL."""
        return self.text_encoders[0]

    @property
    def tokenizer(self) -> Any:
        """The first tokenizer; a second one differs in its padding alone."""
        return self.tokenizers[0]

    @property
    def vae_scale(self) -> int:
        """Pixels a latent, along a side."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    # ---- text

    def embed(
        self, prompts: Sequence[str], max_tokens: int | None = None, clip_skip: int = 1
    ) -> Tensor:
        """Prompt embeddings [n, chunks * length, d], chunks one after the other (see `tokens`).

        `clip_skip` counts layers from the end, see `text.encode`. Gradients flow as they do
        outside: use `torch.no_grad` where none are wanted."""
        return self.condition(prompts, max_tokens, clip_skip).hidden

    def condition(
        self, prompts: Sequence[str], max_tokens: int | None = None, clip_skip: int = 1
    ) -> Conditioning:
        """Embeddings of a batch, with the mask that leaves out chunks without words."""
        found = [chunked(tokenizer, prompts, max_tokens) for tokenizer in self.tokenizers]
        needed = found[0][1]
        ids = [rows.to(self.device) for rows, _ in found]
        chunks, length = ids[0].shape[1:]
        mask = None
        if min(needed) < chunks:
            counts = torch.tensor(needed)[:, None] > torch.arange(chunks)
            mask = counts.repeat_interleave(length, dim=1).to(self.device)
        hidden, pooled = encode(self.text_encoders, ids, clip_skip)
        return Conditioning(hidden, mask, pooled)

    def framed(self, text: Conditioning, frames: Sequence[tuple[int, ...]]) -> Conditioning:
        """The text with each image's frame, for a base model that wants it."""
        if text.pooled is None:
            return text
        return text._replace(frames=torch.tensor(frames, device=self.device).to(text.pooled.dtype))

    # ---- images

    def latents(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """Scaled latents of images [n, 3, h, w] in [-1, 1]: the posterior's mean, or with
        standard normal `noise` of the latents' shape a sample of it."""
        posterior = self.vae.encode(images.to(self.device, self.vae.dtype)).latent_dist
        latents = posterior.mean
        if noise is not None:
            latents = latents + posterior.std * noise.to(latents)
        return latents * self.vae.config.scaling_factor

    def pixels(self, latents: Tensor, batch_size: int = 8) -> Tensor:
        """Images [n, h, w, 3] in [0, 1] of scaled latents, a few at a time."""
        latents = (latents / self.vae.config.scaling_factor).to(self.vae.dtype)
        parts = [self.vae.decode(part, return_dict=False)[0] for part in latents.split(batch_size)]
        return (torch.cat(parts) / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)

    def decode(self, latents: Tensor, batch_size: int = 8) -> tuple[Tensor, Tensor]:
        """Images as uint8 [n, h, w, 3] on the CPU, and whether each is finite [n]; one that is
        not is black where it is not."""
        pixels = self.pixels(latents, batch_size).float()
        finite = pixels.isfinite().flatten(1).all(1)
        return (pixels.nan_to_num(0) * 255).round().to(torch.uint8).cpu(), finite.cpu()

    # ---- diffusion

    def predict(self, noisy: Tensor, timesteps: Tensor, text: Conditioning) -> Tensor:
        """The U-Net's output for noisy latents [n, c, h, w] at timesteps [n] or []."""
        added = None
        if text.pooled is not None:
            added = {"text_embeds": text.pooled, "time_ids": text.frames}
        return self.unet(
            noisy.to(self.dtype), timesteps, encoder_hidden_states=text.hidden,
            encoder_attention_mask=text.mask, added_cond_kwargs=added, return_dict=False,
        )[0]  # fmt: skip

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """sqrt(abar_t) latents + sqrt(1 - abar_t) noise."""
        return self.scheduler.add_noise(latents, noise, timesteps)

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the U-Net should predict: the noise, or the velocity for models that do so."""
        kind = self.scheduler.config.prediction_type
        if kind == "epsilon":
            return noise
        if kind == "v_prediction":
            return self.scheduler.get_velocity(latents, noise, timesteps)
        raise BackboneError(f"training a base model that predicts '{kind}' is not supported")


def _check(parts: pipeline_folder.Parts) -> None:
    """Refuses what would be drawn wrongly: models that want more than noise and text."""
    wanted, given = parts.unet.config.in_channels, parts.vae.config.latent_channels
    if wanted != given:
        raise BackboneError(
            f"its U-Net takes {wanted} channels and its VAE makes {given}: "
            "inpainting and editing models are not supported"
        )
    if getattr(parts.vae.config, "latents_mean", None) is not None:
        raise BackboneError("latents with a mean of their own are not supported")
