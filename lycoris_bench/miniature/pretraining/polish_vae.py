"""Trains the decoder on, with the encoder frozen: the latents that a U-Net learned stay valid.

Half of each batch are renders of the world, a quarter random figures in continuous colours, and
the first eighth is varied as in pretraining.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch.nn import functional as F

from lycoris_bench.miniature.pretraining.fitting import Schedule, fit, generators
from lycoris_bench.miniature.pretraining.vae import gradient_loss, to_pixels, vary

SCHEDULE = Schedule(steps=800, rate=1e-3, seed=12, ema=0.99, warm_up=0.05, save_every=200)
BATCH = 16


def polish_decoder(
    work: Path,
    vae: AutoencoderKL,
    pictures: np.ndarray,
    figures: np.ndarray,
    schedule: Schedule = SCHEDULE,
) -> AutoencoderKL:
    """Continue the decoder on `pictures` (n, h, w, 3) and `figures` (m, views, h, w, 3)."""
    vae.requires_grad_(False)
    for part in (vae.decoder, vae.post_quant_conv):
        part.requires_grad_(True)

    def loss_of(step: int) -> torch.Tensor:
        rng, generator = generators(schedule.seed, step)
        count = BATCH // 4
        who, view = rng.integers(0, len(figures), count), rng.integers(0, figures.shape[1], count)
        known = pictures[rng.integers(0, len(pictures), BATCH - count)]
        x = vary(to_pixels(np.concatenate([known, figures[who, view]])), generator)
        with torch.no_grad():
            z = vae.encode(x).latent_dist.mean
        y = vae.decode(z).sample
        return F.l1_loss(y, x) + 8 * F.mse_loss(y, x) + 0.25 * gradient_loss(y, x)

    return fit("vae-decoder", vae, loss_of, schedule, work)
