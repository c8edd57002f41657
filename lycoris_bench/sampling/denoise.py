"""From noise to latents: guided predictions of the denoiser, and the steps of a scheduler."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lycoris_bench.models.backbone import Backbone
from lycoris_bench.models.conditioning import Conditioning
from lycoris_bench.models.families.base import Family
from lycoris_bench.models.schedulers import draws
from lycoris_bench.sampling import unet

Predict = Callable[[Tensor, Tensor], Tensor]
"""(latents [n, c, h, w], timestep []) -> what the denoiser predicts, in fp32."""


def denoise(
    backbone: Backbone, noise: Tensor, text: Conditioning, *, steps: int, guidance: float,
    scheduler: Any = None, seeds: Sequence[int] = (), plain: bool = False,
) -> Tensor:  # fmt: skip
    """Latents from noise: eps = eps_empty + guidance (eps_text - eps_empty), then a step of the
    scheduler (the backbone's own: DDIM, eta 0). At guidance 1 the empty prompt has no weight and is
    not computed.

    `text` has the rows of the empty prompts, then those of the prompts. A scheduler that adds noise
    takes it from the images' `seeds`. `plain` computes each prediction with diffusers' own forward
    pass, which is what the quick one (unet.py) is tested against."""
    scheduler = scheduler or backbone.scheduler
    predict = guided(backbone, text, guidance, plain)
    scheduler.set_timesteps(steps)
    latents = noise * scheduler.init_noise_sigma
    options: dict[str, Any] = {"return_dict": False}
    if draws(scheduler) and seeds:
        options["generator"] = [_generator(seed, noise[0]) for seed in seeds]
    told = scheduler.timesteps.to(backbone.device)  # one transfer; steps count on the CPU
    for t, at in zip(scheduler.timesteps, told, strict=True):
        predicted = predict(scheduler.scale_model_input(latents, t), at)
        # Latents stay in fp32 whatever the U-Net computes in: errors of 25 steps add up.
        latents = scheduler.step(predicted, t, latents, **options)[0]
    return latents


def _generator(seed: int, noise: Tensor) -> torch.Generator:
    """An image's own generator, after its initial noise was drawn with it."""
    generator = torch.Generator().manual_seed(seed)
    torch.randn(noise.shape, generator=generator)
    return generator


def guided(backbone: Backbone, text: Conditioning, guidance: float, plain: bool = False) -> Predict:
    """The prediction under guidance, whose arithmetic is fp32: it multiplies what half precision
    rounded."""
    n = len(text.hidden) // 2
    if guidance <= 1:
        text = text.rows(slice(n, None))
    both = _plainly(backbone, text) if plain or not quick(backbone) else _quickly(backbone, text)

    def predict(latents: Tensor, t: Tensor) -> Tensor:
        predicted = both(latents, t).float()
        if guidance <= 1:
            return predicted
        empty, full = predicted.chunk(2)
        return empty + guidance * (full - empty)

    return predict


def quick(backbone: Backbone) -> bool:
    """Whether the quick forward pass computes what the backbone's own does."""
    own = type(backbone.family).predict is Family.predict
    return own and not compiled(backbone) and unet.known(backbone.unet)


def compiled(backbone: Backbone) -> bool:
    """Whether the U-Net is one that torch.compile rewrites."""
    return getattr(backbone.unet, "_compiled_call_impl", None) is not None


def _quickly(backbone: Backbone, text: Conditioning) -> Predict:
    told = unet.Text(backbone.unet, text)
    return lambda latents, t: unet.forward(backbone.unet, latents.to(backbone.dtype), t, told)


def _plainly(backbone: Backbone, text: Conditioning) -> Predict:
    if text.mask is None and compiled(backbone):  # one graph for batches with and without
        text = text.masked()
    rows = len(text.hidden)

    def predict(latents: Tensor, t: Tensor) -> Tensor:
        return backbone.predict(latents.repeat(rows // len(latents), 1, 1, 1), t, text)

    return predict
