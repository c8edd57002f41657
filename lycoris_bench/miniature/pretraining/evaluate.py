"""Measures the shipped base model, oracle and encoders.

`python -m lycoris_bench.miniature.pretraining.evaluate [--images 500] [--json]`
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from lycoris_bench.miniature.networks import WEIGHTS
from lycoris_bench.miniature.pipeline import read_base
from lycoris_bench.miniature.pretraining.probes import encoder_probes, pixels
from lycoris_bench.miniature.pretraining.training_set import held_out
from lycoris_bench.miniature.pretraining.vae import psnr
from lycoris_bench.miniature.world.captions import sentence
from lycoris_bench.miniature.world.oracle import Oracle, accuracy
from lycoris_bench.miniature.world.scene import Scene

GUIDANCE, STEPS, BATCH = 4.0, 25, 50
TARGETS = {
    "base: object": 0.90,
    "base: colour": 0.93,
    "base: background": 0.95,
    "base: style": 0.97,
    "oracle: object": 0.98,
    "oracle: colour": 0.98,
    "oracle: background": 0.98,
    "oracle: style": 0.98,
    "oracle: position": 0.98,
    "image-text retrieval among 100": 0.95,
    "VAE PSNR (dB)": 28.0,
}


def generate(
    pipeline: Any,
    prompts: list[str],
    first_seed: int = 0,
    guidance: float = GUIDANCE,
    steps: int = STEPS,
) -> list[Image.Image]:
    """One picture a prompt; picture k has noise seed first_seed + k."""
    images: list[Image.Image] = []
    for start in range(0, len(prompts), BATCH):
        part = prompts[start : start + BATCH]
        seeds = [torch.Generator().manual_seed(first_seed + start + k) for k in range(len(part))]
        images += pipeline(
            part,
            height=64,
            width=64,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=seeds,
        ).images
    return images


def base_accuracy(pipeline: Any, oracle: Oracle, scenes: list[Scene]) -> dict[str, float]:
    """Share of generated pictures that show what their full-sentence prompt asks for."""
    images = generate(pipeline, [sentence(s) for s in scenes])
    return {f"base: {k}": v for k, v in accuracy(oracle, pixels(images), scenes).items()}


def evaluate(images: int = 500, folder: Path = WEIGHTS) -> dict[str, float]:
    """All figures of docs/miniature.md."""
    pipeline, oracle = read_base(folder / "base"), Oracle.load(folder / "oracle.safetensors")
    scenes, pictures = held_out(1000)
    x = pixels(pictures)
    result: dict[str, float] = {}
    if images:
        result |= base_accuracy(pipeline, oracle, scenes[:images])
    result |= {f"oracle: {k}": v for k, v in accuracy(oracle, x, scenes).items()}
    result |= encoder_probes(folder, pipeline.tokenizer, x, scenes)
    result["VAE PSNR (dB)"] = float(psnr(pipeline.vae, pictures[:300]).mean())
    result["weights (MB)"] = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6
    return result


def main() -> None:
    """Print the figures as a table, or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--images", type=int, default=500, help="pictures of the base model (0: none)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    clock = time.perf_counter()
    result = evaluate(options.images)
    if options.json:
        print(json.dumps(result, indent=1))
        return
    print(f"base: {options.images} pictures, guidance {GUIDANCE}, {STEPS} DDIM steps")
    for name, value in result.items():
        target = TARGETS.get(name)
        note = (
            "" if target is None else f"  target {target:g}{'' if value >= target else '  MISSED'}"
        )
        print(f"{name:36} {value:8.3f}{note}")
    print(f"{time.perf_counter() - clock:.0f} s")


if __name__ == "__main__":
    main()
