"""Drawing images with classifier-free guidance, as the pipelines of diffusers do it, but with noise
that depends on an image's seed alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.models.conditioning import Conditioning, stacked
from lycoris_bench.models.schedulers import DDIM
from lycoris_bench.models.schedulers import scheduler as named
from lycoris_bench.sampling.denoise import compiled, denoise
from lycoris_bench.sampling.memory import in_parts


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
    scheduler: str = DDIM,
    embeddings: PromptConditioning | None = None,
    rows: int = 0,
) -> Images:
    """One image a prompt, in one batch; image k's noise is drawn from `seeds[k]`.

    Pass `embeddings` to embed prompts once over many batches, and for a compiled model the size of
    a whole batch as `rows`: it draws the last batch as a whole one too. An image whose numbers
    leave the finite is flagged, not raised: the others are good. Where memory runs out, the batch
    is drawn in halves."""
    embed, steps_by = (
        embeddings or PromptConditioning(backbone),
        named(scheduler, backbone.scheduler),
    )
    absent = max(0, rows - len(prompts)) if compiled(backbone) else 0
    prompts, seeds = [*prompts, *[""] * absent], [*seeds, *[0] * absent]

    def drawn(part: slice) -> tuple[Tensor, Tensor]:
        text = embed(prompts[part])
        frame = ((width, height), (width, height))
        text = backbone.framed(text, [frame] * 2 * len(prompts[part]))
        noise = initial_noise(backbone, seeds[part], width, height)
        latents = denoise(backbone, noise, text, steps=steps, guidance=guidance,
                          scheduler=steps_by, seeds=seeds[part])  # fmt: skip
        return backbone.decode(latents)

    pixels, finite = zip(*in_parts(drawn, len(prompts)), strict=True)
    kept = len(prompts) - absent
    return Images(torch.cat(pixels)[:kept].numpy(), torch.cat(finite)[:kept].numpy())


def initial_noise(backbone: Backbone, seeds: Sequence[int], width: int, height: int) -> Tensor:
    """Standard normal latents [n, c, h, w]: drawn in float32 on the CPU, each image with its own
    generator, so that batch size, device and resuming do not matter."""
    scale = backbone.vae_scale
    if width % scale or height % scale:
        raise BenchError(f"image sides must be multiples of {scale}, not {width} x {height}")
    shape = (backbone.unet.config.in_channels, height // scale, width // scale)
    drawn = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(drawn).to(backbone.device)
