"""The base model: a Stable Diffusion pipeline's parts, and the few things that training and
sampling ask of them. The only module that imports diffusers and transformers' CLIP."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lycoris_bench.diffusion.tokens import chunked
from lycoris_bench.diffusion.weights import BackboneError, fingerprint, locate

__all__ = ["Backbone", "BackboneError", "Conditioning", "fingerprint"]


class Conditioning(NamedTuple):
    """What the U-Net attends to: embeddings [n, length, d], and which of them count [n, length]
    (None: all). Prompts of fewer chunks than their neighbours are masked, so that a prompt means
    the same whatever it shares a batch with."""

    hidden: Tensor
    mask: Tensor | None


@dataclass(frozen=True, eq=False)
class Backbone:
    """U-Net, text encoder, VAE, tokenizer and the noise schedule, on one device and frozen."""

    unet: Any
    text_encoder: Any
    vae: Any
    tokenizer: Any
    scheduler: Any  # a DDIMScheduler, whatever the pipeline's own is
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def load(
        cls, path: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> "Backbone":
        """From a `StableDiffusionPipeline` folder or a hub id in the local cache.

        Raises `BackboneError`, one sentence, where it is missing or broken."""
        folder = locate(path)
        from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
        from transformers import CLIPTextModel, CLIPTokenizer

        try:
            with _quiet():
                unet, text_encoder, vae = (
                    _weights(model, folder, name).to(device, dtype).eval().requires_grad_(False)
                    for model, name in (
                        (UNet2DConditionModel, "unet"),
                        (CLIPTextModel, "text_encoder"),
                        (AutoencoderKL, "vae"),
                    )
                )
                tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
                # Where its file names no length, it says 10^30.
                positions = text_encoder.config.max_position_embeddings
                tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
                scheduler = DDIMScheduler.from_pretrained(folder, subfolder="scheduler")
        except Exception as error:  # whatever is wrong in a file, its reader raises its own kind
            reason = " ".join(str(error).split())[:300]
            raise BackboneError(f"base model '{path}' cannot be loaded: {reason}") from error
        return cls(unet, text_encoder, vae, tokenizer, scheduler, torch.device(device), dtype)

    @property
    def vae_scale(self) -> int:
        """Pixels a latent, along a side."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    # ---- text

    def embed(
        self, prompts: Sequence[str], max_tokens: int | None = None, clip_skip: int = 1
    ) -> Tensor:
        """Prompt embeddings [n, chunks * length, d], chunks one after the other (see `tokens`).

        `clip_skip` counts layers from the end, 1 being the last. Gradients flow as they do
        outside: use `torch.no_grad` where none are wanted."""
        return self._embed(chunked(self.tokenizer, prompts, max_tokens)[0], clip_skip)

    def condition(
        self, prompts: Sequence[str], max_tokens: int | None = None, clip_skip: int = 1
    ) -> Conditioning:
        """Embeddings of a batch, with the mask that leaves out chunks without words."""
        ids, needed = chunked(self.tokenizer, prompts, max_tokens)
        chunks, length = ids.shape[1:]
        mask = None
        if min(needed) < chunks:
            counts = torch.tensor(needed)[:, None] > torch.arange(chunks)
            mask = counts.repeat_interleave(length, dim=1).to(self.device)
        return Conditioning(self._embed(ids, clip_skip), mask)

    def _embed(self, ids: Tensor, clip_skip: int) -> Tensor:
        n, chunks, length = ids.shape
        ids = ids.reshape(n * chunks, length).to(self.device)
        if clip_skip == 1:
            hidden = self.text_encoder(ids)[0]
        else:
            layers = self.text_encoder(ids, output_hidden_states=True).hidden_states
            if clip_skip >= len(layers):
                raise ValueError(
                    f"clip_skip is {clip_skip}, but the text encoder has {len(layers) - 1} layers"
                )
            model = getattr(self.text_encoder, "text_model", self.text_encoder)
            hidden = model.final_layer_norm(layers[-clip_skip])
        return hidden.reshape(n, chunks * length, -1)

    # ---- images

    def latents(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """Scaled latents of images [n, 3, h, w] in [-1, 1]: the posterior's mean, or with
        standard normal `noise` of the latents' shape a sample of it."""
        posterior = self.vae.encode(images.to(self.device, self.dtype)).latent_dist
        latents = posterior.mean
        if noise is not None:
            latents = latents + posterior.std * noise.to(latents)
        return latents * self.vae.config.scaling_factor

    def pixels(self, latents: Tensor, batch_size: int = 8) -> Tensor:
        """Images [n, h, w, 3] in [0, 1] of scaled latents, a few at a time."""
        latents = latents / self.vae.config.scaling_factor
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
        return self.unet(
            noisy, timesteps, encoder_hidden_states=text.hidden,
            encoder_attention_mask=text.mask, return_dict=False,
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


def _weights(model: Any, folder: Path, name: str) -> Any:
    """The full weights, or where only those are there the fp16 ones. Keys that are missing or of
    another shape are refused: readers fill them with random numbers and go on."""
    files = [file.name for file in (folder / name).iterdir()]
    plain = any(".fp16." not in f and f.endswith((".safetensors", ".bin")) for f in files)
    loaded, about = model.from_pretrained(
        folder / name, variant=None if plain else "fp16", output_loading_info=True
    )
    if missing := sorted(about["missing_keys"]):
        raise BackboneError(f"{name} lacks {len(missing)} tensors, such as {missing[0]}")
    return loaded


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the loaders' own bars and hints: what matters is raised."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    with contextlib.ExitStack() as undo:
        for log in (diffusers_logging, transformers_logging):
            undo.callback(log.set_verbosity, log.get_verbosity())
            log.set_verbosity_error()
            if log.is_progress_bar_enabled():
                undo.callback(log.enable_progress_bar)
                log.disable_progress_bar()
        yield
