"""A base model on a device, with the operations of training and sampling. Its `Family` implements
whatever differs between families."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lycoris_bench.models import partial
from lycoris_bench.models.conditioning import Conditioning
from lycoris_bench.models.families.base import Family, Size
from lycoris_bench.models.hub import family_of, fingerprint, locate
from lycoris_bench.models.parts import BackboneError, Parts
from lycoris_bench.models.pipeline_folder import quiet

__all__ = ["Backbone", "BackboneError", "Conditioning", "fingerprint"]
MOST_DECODED = 32  # images at once: more are no faster


@dataclass(frozen=True, eq=False)
class Backbone:
    """Denoiser, text encoders, VAE, tokenizers and the noise schedule, on one device and frozen."""

    family: Family
    unet: Any  # the denoiser
    text_encoders: tuple[Any, ...]
    vae: Any
    tokenizers: tuple[Any, ...]
    scheduler: Any  # the sampler's steps, whatever the pipeline's own are
    device: torch.device
    dtype: torch.dtype
    zero_empty: bool = False  # guided away from zeros, not from an empty prompt

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        over: str | Path | None = None,
    ) -> "Backbone":
        """Loads a pipeline's folder, a hub id in the local cache, or a single .safetensors file;
        or the parts that a folder holds, `over` a base model that has the others.

        BackboneError: it is missing or broken."""
        place = locate(path if over is None else over)
        try:
            family = family_of(place)
            parts = family.read_file(place) if place.is_file() else family.read_folder(place)
            if over is not None:
                parts = partial.read(Path(path), parts)
            return cls.of(parts, device, dtype)
        except Exception as error:  # whatever is wrong in a file, its reader raises its own kind
            reason = " ".join(str(error).split())[:300]
            raise BackboneError(f"base model '{path}' cannot be loaded: {reason}") from error

    @classmethod
    def of(
        cls, parts: Parts, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> "Backbone":
        """Makes a base model of parts in memory, which are moved to the device and frozen.
        BackboneError: the family does not support such parts."""
        family = parts.family
        family.check(parts)
        with quiet():
            for model in (parts.unet, *parts.text_encoders):
                model.to(device, dtype).eval().requires_grad_(False)
            narrow = (
                getattr(parts.vae.config, "force_upcast", True) is False
            )  # made not to overflow
            decoding = dtype if narrow else family.vae_dtype(dtype)
            parts.vae.to(device, decoding).eval().requires_grad_(False)
        family.prepare(parts)
        return cls(
            family, parts.unet, parts.text_encoders, parts.vae, parts.tokenizers, parts.scheduler,
            torch.device(device), dtype, parts.zero_empty,
        )  # fmt: skip

    @property
    def text_encoder(self) -> Any:
        """The first text encoder."""
        return self.text_encoders[0]

    @property
    def tokenizer(self) -> Any:
        """The first tokenizer."""
        return self.tokenizers[0]

    @property
    def vae_scale(self) -> int:
        """Pixels per latent, along a side."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    # ---- what the denoiser is told

    def condition(
        self, prompts: Sequence[str], max_tokens: int | None = None, clip_skip: int = 1
    ) -> Conditioning:
        """Encodes prompts as conditioning, a row each; those of more than `max_tokens` are cut.

        `clip_skip` counts layers of the text encoder from the end. Gradients are recorded, except
        under `torch.no_grad`."""
        return self.family.encode(self, prompts, max_tokens, clip_skip)

    def framed(self, text: Conditioning, sizes: Sequence[tuple[Size, Size]]) -> Conditioning:
        """Adds each image's size, given as (its own, its bucket's), where the family wants it."""
        return self.family.framed(text, sizes)

    def led_away_from(self, empty: Conditioning) -> Conditioning:
        """The conditioning that guidance leads away from, given the empty prompt's."""
        return self.family.led_away_from(self, empty)

    # ---- images

    def latents(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """Scaled latents of images [n, 3, h, w] in [-1, 1]: the posterior's mean, or with
        standard normal `noise` of the latents' shape a sample of it."""
        posterior = self.vae.encode(images.to(self.device, self.vae.dtype)).latent_dist
        latents = posterior.mean
        if noise is not None:
            latents = latents + posterior.std * noise.to(latents)
        scale, shift = self.family.latent_scale_and_shift(self)
        return (latents - shift) * scale

    def pixels(self, latents: Tensor, batch_size: int = 8) -> Tensor:
        """Images [n, h, w, 3] in [0, 1], in fp32, of scaled latents; as many at a time as hold the
        pixels of `batch_size` images of 512 x 512."""
        return _shown(self._decoded(latents, batch_size, self.vae))

    def _decoded(self, latents: Tensor, batch_size: int, vae: Any) -> Tensor:
        """What the VAE makes of scaled latents: [n, 3, h, w] around -1 to 1, in fp32."""
        scale, shift = self.family.latent_scale_and_shift(self)
        latents = (latents / scale + shift).to(vae.dtype)
        area = latents.shape[-2] * latents.shape[-1] * self.vae_scale**2
        rows = min(MOST_DECODED, max(1, batch_size * 512 * 512 // area))
        parts = [vae.decode(part, return_dict=False)[0].float() for part in latents.split(rows)]
        return torch.cat(parts)

    def decode(self, latents: Tensor, batch_size: int = 8) -> tuple[Tensor, Tensor]:
        """Images as uint8 [n, h, w, 3] on the CPU, and whether each is finite [n]; one that is
        not is black where it is not. Latents that overflow in half precision are decoded again in
        single precision."""
        decoded = self._decoded(latents, batch_size, self.vae)
        finite = _finite(decoded)
        again = ~finite & _finite(latents)
        if self.vae.dtype != torch.float32 and bool(again.any()):
            exact = copy.deepcopy(self.vae).float()
            decoded[again] = self._decoded(latents[again], batch_size, exact)
            finite = _finite(decoded)
        pixels = _shown(decoded.where(decoded.isfinite(), -1.0))
        return (pixels * 255).round().to(torch.uint8).cpu(), finite.cpu()

    # ---- diffusion

    def predict(self, noisy: Tensor, timesteps: Tensor, text: Conditioning) -> Tensor:
        """The denoiser's output for noisy latents [n, c, h, w] at timesteps [n] or []."""
        return self.family.predict(self, noisy.to(self.dtype), timesteps, text)

    def timesteps(self, count: int, draw: torch.Generator) -> Tensor:
        """Timesteps [count] of a training step, drawn on the CPU."""
        return self.family.timesteps(self, count, draw)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The latents at their timesteps on the way to noise."""
        return self.family.add_noise(self, latents, noise, timesteps)

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the denoiser should predict."""
        return self.family.target(self, latents, noise, timesteps)


def _shown(decoded: Tensor) -> Tensor:
    return (decoded / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)


def _finite(rows: Tensor) -> Tensor:
    return rows.isfinite().flatten(1).all(1)
