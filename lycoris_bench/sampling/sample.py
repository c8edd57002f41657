"""Drawing images: DDIM with classifier-free guidance, as the pipelines of diffusers do it, but with
noise that depends on an image's seed alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.models.conditioning import Conditioning, stacked


class Images(NamedTuple):
    """Pixels uint8 [n, h, w, 3], and whether all numbers of an image were finite [n]."""

    pixels: np.ndarray[Any, Any]
    finite: np.ndarray[Any, Any]


class PromptConditioning:
    """Prompts as conditioning, each distinct one embedded once. Good for one state of the text
    encoder: make a new one when other weights are merged. The last `limit` prompts are kept."""

    def __init__(self, backbone: Backbone, clip_skip: int = 1, limit: int = 512) -> None:
        self.backbone, self.clip_skip, self.limit = backbone, clip_skip, limit
        self._kept: dict[str, Conditioning] = {}  # prompt -> its one row

    def __call__(self, prompts: Sequence[str]) -> Conditioning:
        """The conditioning of a batch for guidance: 2n rows, the empty prompt's first."""
        own = [self._of(prompt) for prompt in prompts]
        empty = self.backbone.led_away_from(self._of(""))
        length = empty.hidden.shape[1]
        # The empty prompt gets as many chunks as the prompt it stands against.
        against = [
            replace(empty, hidden=empty.hidden.repeat(1, text.hidden.shape[1] // length, 1))
            for text in own
        ]
        return stacked([*against, *own])

    def _of(self, prompt: str) -> Conditioning:
        if prompt not in self._kept:
            if len(self._kept) >= self.limit:
                del self._kept[next(iter(self._kept))]
            self._kept[prompt] = self.backbone.condition([prompt], clip_skip=self.clip_skip)
        return self._kept[prompt]


@torch.inference_mode()
def sample(
    backbone: Backbone,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    steps: int,
    guidance: float,
    width: int,
    height: int,
    embeddings: PromptConditioning | None = None,
) -> Images:
    """One image a prompt, in one batch; image k's noise is drawn from `seeds[k]`.

    Pass `embeddings` to embed prompts once over many batches. An image whose numbers leave the
    finite is flagged, not raised: the others are good."""
    text = (embeddings or PromptConditioning(backbone))(prompts)
    text = backbone.framed(text, [((width, height), (width, height))] * 2 * len(prompts))
    noise = initial_noise(backbone, seeds, width, height)
    latents = denoise(backbone, noise, text, steps=steps, guidance=guidance)
    pixels, finite = backbone.decode(latents)
    return Images(pixels.numpy(), finite.numpy())


def initial_noise(backbone: Backbone, seeds: Sequence[int], width: int, height: int) -> Tensor:
    """Standard normal latents [n, c, h, w]: drawn in float32 on the CPU, each image with its own
    generator, so that batch size, device and resuming do not matter."""
    scale = backbone.vae_scale
    if width % scale or height % scale:
        raise BenchError(f"image sides must be multiples of {scale}, not {width} x {height}")
    shape = (backbone.unet.config.in_channels, height // scale, width // scale)
    drawn = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(drawn).to(backbone.device)


def denoise(
    backbone: Backbone, noise: Tensor, text: Conditioning, *, steps: int, guidance: float
) -> Tensor:
    """Latents from noise: eps = eps_empty + guidance (eps_text - eps_empty), then a DDIM step
    (eta 0). At guidance 1 the empty prompt has no weight and is not computed."""
    scheduler, n = backbone.scheduler, len(noise)
    guided = guidance > 1
    if not guided:
        text = text.rows(slice(n, None))
    scheduler.set_timesteps(steps)
    latents = noise * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        if guided:
            empty, full = backbone.predict(torch.cat([latents, latents]), t, text).chunk(2)
            predicted = empty + guidance * (full - empty)
        else:
            predicted = backbone.predict(latents, t, text)
        # Latents stay in fp32 whatever the U-Net computes in: errors of 25 steps add up.
        latents = scheduler.step(predicted.float(), t, latents, return_dict=False)[0]
    return latents


def optimize_for_inference(backbone: Backbone, compiled: bool = False) -> Backbone:
    """The same backbone, made fast to draw with: on CUDA with channels last, which is what its
    convolutions are fast at; `compiled` with a U-Net that torch.compile rewrites at its first
    call. Merging writes into the weights in place, so that it is compiled once for all
    checkpoints, and again for each other size of a batch."""
    if backbone.device.type == "cuda":
        for model in (backbone.unet, backbone.vae):
            model.to(memory_format=torch.channels_last)
    if compiled:
        backbone.unet.compile(dynamic=False)
    return backbone
