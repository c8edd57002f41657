"""The training images as latents: each is read, fitted to its bucket and encoded once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lycoris_bench.data.dataset import Dataset, Example
from lycoris_bench.data.images import read_image
from lycoris_bench.models.backbone import Backbone, BackboneError
from lycoris_bench.training.buckets import Sides, assign, fit
from lycoris_bench.training.rng import generator

if TYPE_CHECKING:
    from lycoris_bench.study.settings import Training


@dataclass(frozen=True)
class LatentCache:
    """Scaled latents [c, h, w] of each example on the CPU, and its bucket in pixels."""

    latents: Sequence[Tensor]
    buckets: tuple[Sides, ...]

    @classmethod
    def encode(
        cls,
        backbone: Backbone,
        dataset: Dataset,
        settings: "Training",
        *,
        seed: int | None = None,
        batch_size: int = 8,
        progress: Callable[[int, int], None] | None = None,
    ) -> "LatentCache":
        """The posterior's mean, or with a `seed` a sample whose noise depends on the seed and the
        image alone. Raises `DataError` for an image that cannot be read."""
        buckets, groups = batches(backbone, dataset, settings, batch_size)
        found: dict[int, Tensor] = {}
        for members in groups:
            examples = [dataset.examples[k] for k in members]
            made = encode_batch(backbone, examples, buckets[members[0]], seed)
            found.update(zip(members, made, strict=True))
            if progress:
                progress(len(found), len(buckets))
        return cls(tuple(found[k] for k in range(len(buckets))), buckets)

    def __len__(self) -> int:
        return len(self.latents)

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Latents [n, c, h, w] of examples that share a bucket."""
        return torch.stack([self.latents[k] for k in indices])


def batches(
    backbone: Backbone, dataset: Dataset, settings: "Training", batch_size: int = 8
) -> tuple[tuple[Sides, ...], list[list[int]]]:
    """The bucket of each example, and the examples that are encoded together."""
    if settings.bucket_step % backbone.vae_scale:
        raise BackboneError(
            f"bucket_step {settings.bucket_step} must be a multiple of {backbone.vae_scale}, "
            "the pixels of a latent of this base model"
        )
    buckets = tuple(assign(dataset, settings))
    groups = []
    for bucket in sorted(set(buckets)):
        members = [k for k, its in enumerate(buckets) if its == bucket]
        groups += [members[k : k + batch_size] for k in range(0, len(members), batch_size)]
    return buckets, groups


@torch.no_grad()
def encode_batch(
    backbone: Backbone, examples: Sequence[Example], bucket: Sides, seed: int | None = None
) -> Tensor:
    """Latents [n, c, h, w] of images that share a bucket, see `LatentCache.encode`."""
    images = [np.array(fit(read_image(example.path), bucket)) for example in examples]
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
    noise = None
    if seed is not None:
        width, height = (side // backbone.vae_scale for side in bucket)
        shape = (backbone.vae.config.latent_channels, height, width)
        draws = [generator(seed, "posterior", example.sha256) for example in examples]
        noise = torch.stack([torch.randn(shape, generator=draw) for draw in draws])
    return backbone.latents(pixels, noise).cpu()
