"""The training images as latents: each is read, fitted to its bucket and encoded once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lycoris_bench.diffusion.backbone import Backbone, BackboneError
from lycoris_bench.diffusion.buckets import Sides, assign, fit
from lycoris_bench.diffusion.counters import generator
from lycoris_bench.diffusion.dataset import Dataset, Example
from lycoris_bench.diffusion.images import read_image

if TYPE_CHECKING:
    from lycoris_bench.settings import Training


@dataclass(frozen=True)
class LatentCache:
    """Scaled latents [c, h, w] of each example on the CPU, and its bucket in pixels."""

    latents: tuple[Tensor, ...]
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
        if settings.bucket_step % backbone.vae_scale:
            raise BackboneError(
                f"bucket_step {settings.bucket_step} must be a multiple of {backbone.vae_scale}, "
                "the pixels of a latent of this base model"
            )
        buckets = assign(dataset, settings)
        found: dict[int, Tensor] = {}
        for bucket in sorted(set(buckets)):
            members = [k for k, its in enumerate(buckets) if its == bucket]
            for start in range(0, len(members), batch_size):
                batch = members[start : start + batch_size]
                examples = [dataset.examples[k] for k in batch]
                made = _encode(backbone, examples, bucket, seed)
                found.update(zip(batch, made, strict=True))
                if progress:
                    progress(len(found), len(buckets))
        return cls(tuple(found[k] for k in range(len(buckets))), tuple(buckets))

    def __len__(self) -> int:
        return len(self.latents)

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Latents [n, c, h, w] of examples that share a bucket."""
        return torch.stack([self.latents[k] for k in indices])


@torch.no_grad()
def _encode(
    backbone: Backbone, examples: Sequence[Example], bucket: Sides, seed: int | None
) -> Tensor:
    images = [np.array(fit(read_image(example.path), bucket)) for example in examples]
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
    noise = None
    if seed is not None:
        width, height = (side // backbone.vae_scale for side in bucket)
        shape = (backbone.vae.config.latent_channels, height, width)
        draws = [generator(seed, "posterior", example.sha256) for example in examples]
        noise = torch.stack([torch.randn(shape, generator=draw) for draw in draws])
    return backbone.latents(pixels, noise).cpu()
