"""Trains the U-Net and the text encoder on the latents of the training set.

Epsilon loss with min-SNR weight 5, AdamW, one-cycle rate, caption dropout, EMA.  Positions are
named in captions, so pictures are never mirrored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import nn

from lycoris_bench.miniature.networks import END_TOKEN
from lycoris_bench.miniature.pipeline import (
    assemble,
    new_scheduler,
    new_text_encoder,
    new_unet,
    write_base,
)
from lycoris_bench.miniature.pretraining.encoders import caption_ids
from lycoris_bench.miniature.pretraining.fitting import Schedule, fit, generators, rank_and_size
from lycoris_bench.miniature.pretraining.vae import to_pixels
from lycoris_bench.miniature.world.scene import Scene

SCHEDULE = Schedule(steps=8000, rate=2e-3, seed=31, ema=0.9995, warm_up=0.05, save_every=500)
BATCH, CAPTION_SETS, CAPTION_DROPOUT, MIN_SNR = 32, 6, 0.1, 5.0


@torch.no_grad()
def latents_of(vae: AutoencoderKL, pictures: np.ndarray, work: Path) -> torch.Tensor:
    """Mean latents of the pictures, scaled to standard deviation 1, cached as float16."""
    path = work / f"latents-{len(pictures)}.pt"
    if not path.exists():
        parts = []
        for start in range(0, len(pictures), 250):
            x = to_pixels(pictures[start : start + 250]).contiguous(
                memory_format=torch.channels_last
            )
            parts.append((vae.encode(x).latent_dist.mean * vae.config.scaling_factor).half())
        mine = path.with_suffix(f".part{rank_and_size()[0]}")
        torch.save(torch.cat(parts), mine)
        mine.replace(path)
    return torch.load(path, weights_only=True)


def snr_weight(alpha_bar: torch.Tensor) -> torch.Tensor:
    """min(SNR, 5) / SNR, the weight of the epsilon loss, (n, 1, 1, 1)."""
    snr = alpha_bar / (1 - alpha_bar)
    return (snr.clamp(max=MIN_SNR) / snr).view(-1, 1, 1, 1)


def train_unet(
    work: Path,
    vae: AutoencoderKL,
    tokenizer: Any,
    scenes: list[Scene],
    pictures: np.ndarray,
    schedule: Schedule = SCHEDULE,
) -> None:
    """Train and write the base folder at every save, from the moving average of the weights."""
    latents = latents_of(vae, pictures, work)
    ids = torch.stack([caption_ids(tokenizer, scenes, 70 + k) for k in range(CAPTION_SETS)])
    nothing = torch.full_like(ids[0, :1], END_TOKEN)
    nothing[0, 0] = ids[0, 0, 0]
    batch = BATCH // rank_and_size()[1]
    alpha_bar = new_scheduler().alphas_cumprod
    model = nn.ModuleDict({"unet": new_unet(), "text_encoder": new_text_encoder()})
    model["unet"].to(memory_format=torch.channels_last)

    def loss_of(step: int) -> torch.Tensor:
        rng, generator = generators(schedule.seed, step)
        index = rng.integers(0, len(latents), batch)
        tokens = ids[
            torch.from_numpy(rng.integers(0, CAPTION_SETS, batch)), torch.from_numpy(index)
        ]
        dropped = torch.from_numpy(rng.random(batch) < CAPTION_DROPOUT)
        tokens = torch.where(dropped[:, None], nothing, tokens)
        x = latents[index].float()
        noise = torch.randn(x.shape, generator=generator)
        t = torch.from_numpy(rng.integers(0, len(alpha_bar), batch))
        a = alpha_bar[t].view(-1, 1, 1, 1)
        noisy = (a.sqrt() * x + (1 - a).sqrt() * noise).contiguous(
            memory_format=torch.channels_last
        )
        guess = model["unet"](noisy, t, model["text_encoder"](tokens)[0]).sample
        return (snr_weight(alpha_bar[t]) * (guess - noise) ** 2).mean()

    def on_save(ema: nn.ModuleDict, step: int) -> None:
        write_base(assemble(vae, ema["text_encoder"], tokenizer, ema["unet"]))

    fit("unet", model, loss_of, schedule, work, on_save)
