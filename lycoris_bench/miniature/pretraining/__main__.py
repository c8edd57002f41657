"""Trains everything that the miniature world ships, from nothing; resumable.

`python -m lycoris_bench.miniature.pretraining --work DIR [--only vae|unet|encoders|oracle]`
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from lycoris_bench.miniature.concepts.identities import identity_set
from lycoris_bench.miniature.networks import WEIGHTS
from lycoris_bench.miniature.pretraining import encoders, unet
from lycoris_bench.miniature.pretraining import vae as pretrain_vae
from lycoris_bench.miniature.pretraining.fitting import rank_and_size
from lycoris_bench.miniature.pretraining.polish_vae import polish_decoder
from lycoris_bench.miniature.pretraining.training_set import training_set
from lycoris_bench.miniature.world.tokens import build_tokenizer

PICTURES = 32_000
STAGES = ("vae", "unet", "oracle", "encoders")


def trained_vae(work: Path, pictures: np.ndarray) -> AutoencoderKL:
    """The autoencoder, trained or continued, frozen and with its scaling factor set."""
    vae = pretrain_vae.train_vae(work, pictures)
    vae = polish_decoder(work, vae, pictures, identity_set(work)).eval().requires_grad_(False)
    pretrain_vae.set_scaling(vae, pictures[:1000])
    return vae


def pretrain(work: Path, only: str | None = None, weights: Path = WEIGHTS) -> None:
    """Run the stages that are asked for; finished work in `work` is reused."""
    work.mkdir(parents=True, exist_ok=True)
    scenes, stored = training_set(work, PICTURES)
    pictures, tokenizer = (
        np.asarray(stored),
        build_tokenizer(work / f"tokenizer-{rank_and_size()[0]}"),
    )
    stages = STAGES if only is None else (only,)
    if "vae" in stages or "unet" in stages:
        vae = trained_vae(work, pictures)
    if "unet" in stages:
        unet.train_unet(work, vae, tokenizer, scenes, pictures)
    if "oracle" in stages:
        encoders.train_oracle(work, scenes, pictures, weights / "oracle.safetensors")
    if "encoders" in stages:
        encoders.train_image_text(
            work, scenes, pictures, tokenizer, weights / "image-text.safetensors"
        )
        encoders.train_image(work, scenes, pictures, weights / "image.safetensors")
        encoders.train_gram(work, scenes, pictures, weights / "gram.safetensors")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="checkpoints and caches")
    parser.add_argument("--only", choices=STAGES, help="one stage")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pretrain(options.work, options.only)


if __name__ == "__main__":
    main()
