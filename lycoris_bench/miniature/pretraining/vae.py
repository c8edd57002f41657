"""Trains the autoencoder: 64x64x3 pictures to 16x16x4 latents and back.

Loss = L1 + 4 MSE + L1 of image gradients on three scales (contours stay sharp) + 1e-6 KL.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch.nn import functional as F

from lycoris_bench.miniature.pretraining.fitting import Schedule, fit, generators

SCHEDULE = Schedule(steps=3000, rate=2e-3, seed=11, ema=0.998, warm_up=0.05)
BATCH = 16


def new_vae() -> AutoencoderKL:
    """An untrained autoencoder of the shipped architecture."""
    torch.manual_seed(1)
    return AutoencoderKL(
        block_out_channels=(32, 64, 96),
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        sample_size=64,
    )


def to_pixels(pictures: np.ndarray) -> torch.Tensor:
    """uint8 (n, h, w, 3) to float (n, 3, h, w) in -1..1."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def vary(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The first eighth of a batch recoloured and engraved with lines or spots.

    An autoencoder that has seen only the world's own styles would blur every new one.
    """
    n, _, height, width = x.shape
    n = n // 8

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    matrix = torch.lerp(torch.eye(3), uniform(-0.2, 0.9, n, 3, 3), uniform(0, 1, n, 1, 1))
    y = torch.einsum("nij,njhw->nihw", matrix, x[:n]) * uniform(0.5, 1.2, n, 1, 1, 1)
    rows, columns = torch.arange(height).view(1, 1, -1, 1), torch.arange(width).view(1, 1, 1, -1)
    angle, period = uniform(0, torch.pi, n, 1, 1, 1), uniform(4, 10, n, 1, 1, 1)
    u = (rows * angle.sin() + columns * angle.cos()) * 2 * torch.pi / period
    v = (rows * angle.cos() - columns * angle.sin()) * 2 * torch.pi / period
    spots = (uniform(0, 1, n, 1, 1, 1) < 0.5).float()
    wave = torch.sin(u + uniform(0, 6, n, 1, 1, 1)) * (1 - spots + spots * torch.sin(v))
    wave = (wave * uniform(1, 4, n, 1, 1, 1)).clamp(-1, 1)
    y = y + wave * uniform(0, 0.8, n, 1, 1, 1) * (uniform(0, 1, n, 1, 1, 1) < 0.7)
    return torch.cat([y.clamp(-1, 1), x[n:]])


def gradient_loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of the horizontal and vertical gradients: it keeps lines sharp."""
    total = a.new_zeros(())
    for _ in range(3):
        d = a - b
        total = total + (d[..., 1:] - d[..., :-1]).abs().mean()
        total = total + (d[..., 1:, :] - d[..., :-1, :]).abs().mean()
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return total


def train_vae(
    work: Path, pictures: np.ndarray, schedule: Schedule = SCHEDULE, fast: bool = True
) -> AutoencoderKL:
    """Train on the pictures; `fast` uses bfloat16 and a compiled graph."""
    vae = new_vae().to(memory_format=torch.channels_last)

    def run(
        x: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mean, log_variance = vae.quant_conv(vae.encoder(x)).chunk(2, dim=1)
        log_variance = log_variance.float().clamp(-30, 20)
        z = mean + noise * torch.exp(0.5 * log_variance)
        return vae.decoder(vae.post_quant_conv(z)), mean, log_variance

    graph = torch.compile(run) if fast else run

    def loss_of(step: int) -> torch.Tensor:
        rng, generator = generators(schedule.seed, step)
        x = to_pixels(pictures[np.sort(rng.integers(0, len(pictures), BATCH))])
        x = vary(x, generator).contiguous(memory_format=torch.channels_last)
        noise = torch.randn(BATCH, 4, 16, 16, generator=generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            y, mean, log_variance = graph(x, noise)
        y, mean = y.float(), mean.float()
        kl = 0.5 * (mean.pow(2) + log_variance.exp() - 1 - log_variance).mean()
        return F.l1_loss(y, x) + 4 * F.mse_loss(y, x) + 0.5 * gradient_loss(y, x) + 1e-6 * kl

    return fit("vae", vae, loss_of, schedule, work)


@torch.no_grad()
def set_scaling(vae: AutoencoderKL, pictures: np.ndarray) -> None:
    """Write the factor that gives latents a standard deviation of 1 into the configuration."""
    mean = vae.encode(to_pixels(pictures)).latent_dist.mean
    vae.register_to_config(scaling_factor=round(float(1 / mean.std()), 5))


@torch.no_grad()
def psnr(vae: AutoencoderKL, pictures: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB of each reconstruction, (n,)."""
    values = []
    for chunk in np.array_split(pictures, max(1, len(pictures) // 50)):
        x = to_pixels(chunk)
        y = vae.decode(vae.encode(x).latent_dist.mode()).sample.clamp(-1, 1)
        values.append(-10 * torch.log10(((x - y) / 2).pow(2).mean((1, 2, 3))))
    return torch.cat(values).numpy()
