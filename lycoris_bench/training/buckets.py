"""Aspect-ratio buckets and the batches of an epoch: images of one batch share one size."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from lycoris_bench.data.dataset import Dataset
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.training.rng import shuffled

if TYPE_CHECKING:
    from lycoris_bench.study.settings import Training

Sides = tuple[int, int]
"""Width and height in pixels."""


def sides(resolution: int, step: int, minimum: int, maximum: int) -> list[Sides]:
    """The buckets: for each legal width the greatest legal height, and the same turned. Sides are
    multiples of `step` in [minimum, maximum]; areas are at most resolution^2 (paper D.2).

    >>> sides(64, 16, 32, 96)
    [(32, 96), (48, 80), (64, 64), (80, 48), (96, 32)]
    """
    found = set()
    for width in range(-(-minimum // step) * step, maximum + 1, step):
        height = min(maximum, resolution**2 // width) // step * step
        if height >= minimum:
            found |= {(width, height), (height, width)}
    if not found:
        raise BenchError(
            f"no bucket has sides that are multiples of {step} between {minimum} and {maximum} "
            f"and an area of at most {resolution}^2"
        )
    return sorted(found)


def nearest(buckets: Iterable[Sides], size: Sides) -> Sides:
    """The bucket whose log aspect ratio is nearest; of equal ones the largest."""

    def distance(bucket: Sides) -> tuple[float, int]:
        (width, height), (w, h) = bucket, size
        return abs(math.log(width * h / (height * w))), -width * height

    return min(buckets, key=distance)


def assign(dataset: Dataset, settings: "Training") -> list[Sides]:
    """The bucket of each example."""
    buckets = sides(
        settings.resolution, settings.bucket_step, settings.bucket_min, settings.bucket_max
    )
    return [nearest(buckets, example.size) for example in dataset.examples]


def steps_per_epoch(dataset: Dataset, settings: "Training") -> int:
    """The number of steps in an epoch; it is the same in every epoch."""
    shown: Counter[Sides] = Counter()
    repeats = dataset.repeats(settings.images_per_class)
    for bucket, times in zip(assign(dataset, settings), repeats, strict=True):
        shown[bucket] += times
    batches = sum(-(-images // settings.batch_size) for images in shown.values())
    return -(-batches // settings.gradient_accumulation)


def fit(image: Image.Image, bucket: Sides) -> Image.Image:
    """Resized to cover the bucket, the overhang cropped on both sides alike; a 1x1 image too."""
    return ImageOps.fit(image, bucket, Image.Resampling.LANCZOS)


def epoch_batches(
    buckets: Sequence[Hashable], repeats: Sequence[int], batch_size: int, *, seed: int, epoch: int
) -> list[list[int]]:
    """Indices of the examples of each batch: each example `repeats` times, each batch from one
    bucket, incomplete batches kept, all in an order that (seed, epoch) alone decides.

    How many batches there are does not depend on seed or epoch."""
    seen = [example for example, times in enumerate(repeats) for _ in range(times)]
    groups: dict[Hashable, list[int]] = {}
    for example in shuffled(seen, seed, "examples", epoch):
        groups.setdefault(buckets[example], []).append(example)
    cut = [
        group[start : start + batch_size]
        for group in groups.values()
        for start in range(0, len(group), batch_size)
    ]
    return shuffled(cut, seed, "batches", epoch)
