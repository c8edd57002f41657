"""How fast are images drawn, against diffusers' own pipeline on the same weights and noise?

    python benchmarks/generation.py [BASE_MODEL] [--images 50] [--steps 25] [--rounds 5] [--compile]

Peer: `StableDiffusionPipeline`, one prompt a call, and 25 a call. Both warmed up and alternated;
medians over the rounds, on one thread of a CPU in seconds of that thread, which other processes
do not lengthen much. The largest difference of a pixel (0..1) stands beside every ratio."""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import diffusers
import numpy as np
import torch

from lycoris_bench.models.backbone import Backbone
from lycoris_bench.run.environment import device
from lycoris_bench.sampling.prepared import optimize_for_inference
from lycoris_bench.sampling.sample import initial_noise, sample
from lycoris_bench.study.load import locate


def main() -> None:
    """Prints one line a peer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "base", nargs="?", default=str(locate("package:miniature/weights/base", Path()))
    )
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=25, help="ours")
    parser.add_argument("--compile", action="store_true", help="torch.compile of our U-Net")
    given = parser.parse_args()
    torch.set_num_threads(1)
    where = device()
    backbone = optimize_for_inference(Backbone.load(given.base, device=where), given.compile)
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
        given.base, safety_checker=None
    ).to(where, torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    print(f"{platform.processor() or where}, torch {torch.__version__}, one thread, fp32, "
          f"{given.images} images of {given.size}, {given.steps} steps, guidance 7"
          f"{', ours compiled' if given.compile else ''}")  # fmt: skip
    print(f"matmul {matmul_rate(where):.0f} GFLOP/s")
    prompts = ["a red boat, beach", "a blue cat, night", "a girl, city", "a tree"] * given.images
    prompts, seeds = prompts[: given.images], list(range(given.images))

    def theirs(batch: int) -> np.ndarray:
        parts = []
        for k in range(0, given.images, batch):
            noise = initial_noise(backbone, seeds[k : k + batch], given.size, given.size)
            parts.append(pipeline(
                prompts[k : k + batch], latents=noise, num_inference_steps=given.steps,
                guidance_scale=7.0, output_type="np",
            ).images)  # fmt: skip
        return np.concatenate(parts)

    def ours() -> np.ndarray:
        parts = [
            sample(backbone, prompts[k : k + given.batch], seeds[k : k + given.batch],
                   steps=given.steps,
                   guidance=7.0, width=given.size, height=given.size).pixels
            for k in range(0, given.images, given.batch)
        ]  # fmt: skip
        return np.concatenate(parts) / 255

    for batch in (1, 25):
        with torch.inference_mode():
            difference = np.abs(ours() - theirs(batch)).max()
            clock = time.process_time if where == "cpu" else time.perf_counter
            mine, peer = alternate(ours, lambda batch=batch: theirs(batch), given.rounds, clock)
        print(f"pipeline at batch {batch:>2}: {given.images / peer:.2f} images/s; "
              f"ours at {given.batch}: {given.images / mine:.2f}; {peer / mine:.2f}x; "
              f"largest difference {difference:.4f} (a stored level is 0.0039)")  # fmt: skip


def alternate(
    a: Callable[[], object], b: Callable[[], object], rounds: int, clock: Callable[[], float]
) -> tuple[float, float]:
    """Median seconds of each, taken in turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for work, kept in zip((a, b), times, strict=True):
            start = clock()
            work()
            kept.append(clock() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def matmul_rate(where: str, n: int = 1024) -> float:
    """GFLOP/s of the machine's own fp32 matrix product."""
    a = torch.randn(n, n, device=where)
    start = time.perf_counter()
    for _ in range(10):
        a @ a
    return 10 * 2 * n**3 / (time.perf_counter() - start) / 1e9


if __name__ == "__main__":
    main()
