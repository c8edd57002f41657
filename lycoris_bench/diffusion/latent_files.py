"""Latents kept on disk, one small file an image and bucket, and read by memory map: a later run
with the same VAE encodes nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lycoris_bench.diffusion.backbone import Backbone
from lycoris_bench.diffusion.buckets import Sides
from lycoris_bench.diffusion.dataset import Dataset, Example
from lycoris_bench.diffusion.latents import LatentCache, batches, encode_batch

if TYPE_CHECKING:
    from lycoris_bench.settings import Training

NAME = "latents"


@dataclass(frozen=True)
class Files(Sequence[Tensor]):
    """Latents that are read when they are asked for."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, k: int) -> Tensor:  # type: ignore[override]
        with safe_open(self.paths[k], "pt") as handle:
            return handle.get_tensor(NAME)


def stored(
    backbone: Backbone,
    dataset: Dataset,
    settings: "Training",
    folder: Path,
    write: Callable[[Path, bytes], object],
) -> LatentCache:
    """The latents of a data set from `folder`, which is one VAE's; those it lacks, or that are
    damaged, are encoded in the batches that `LatentCache.encode` makes and written whole.

    `write(path, data)` must be atomic, as several processes may write the same image."""
    buckets, groups = batches(backbone, dataset, settings)
    examples = dataset.examples
    paths = tuple(
        _path(folder, example, bucket) for example, bucket in zip(examples, buckets, strict=True)
    )
    for members in groups:
        lacking = [k for k in members if not _whole(paths[k])]
        if lacking:
            made = encode_batch(backbone, [examples[k] for k in members], buckets[members[0]])
            for k, latents in zip(members, made, strict=True):
                if k in lacking:
                    write(paths[k], save({NAME: latents.contiguous()}))
    return LatentCache(Files(paths), buckets)


def _path(folder: Path, example: Example, bucket: Sides) -> Path:
    return folder / f"{example.sha256}-{bucket[0]}x{bucket[1]}.safetensors"


def _whole(path: Path) -> bool:
    try:
        with safe_open(path, "pt") as handle:
            return list(handle.keys()) == [NAME]
    except (OSError, SafetensorError):
        return False
