"""Latents kept on disk, one small file an image and bucket: a later run with the same VAE encodes
nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lycoris_bench.data.dataset import Dataset, Example
from lycoris_bench.files import disk
from lycoris_bench.files.sealed import SealError, check, seal
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.training.buckets import Sides
from lycoris_bench.training.latents import LatentCache, batches, encode_batch

if TYPE_CHECKING:
    from lycoris_bench.study.settings import Training

NAME = "latents"
KEPT = 1 << 30  # bytes of latents in memory: 16 thousand images of 512 x 512


@dataclass(frozen=True)
class Files(Sequence[Tensor]):
    """Latents that are read when they are first asked for, and kept as long as there is room."""

    paths: tuple[Path, ...]
    kept: dict[int, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, k: int) -> Tensor:  # type: ignore[override]  # no slices
        if k in self.kept:
            return self.kept[k]
        latents = read(self.paths[k])
        if (len(self.kept) + 1) * latents.nbytes <= KEPT:
            self.kept[k] = latents
        return latents


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
                    write(paths[k], seal(save({NAME: latents.contiguous()})))
    return LatentCache(Files(paths), buckets)


def _path(folder: Path, example: Example, bucket: Sides) -> Path:
    return folder / f"{example.sha256}-{bucket[0]}x{bucket[1]}.safetensors"


def read(path: Path) -> Tensor:
    """Latents of an image. SealError, naming the file: they are not as they were written."""
    try:
        content = disk.read_bytes(path)
        check(content)
        return load(content)[NAME]
    except (BenchError, SafetensorError, KeyError) as error:
        reason = error if isinstance(error, BenchError) else type(error).__name__
        raise SealError(f"cached latents {path}: {reason}; train again to make them anew") from None


def _whole(path: Path) -> bool:
    try:
        read(path)
    except SealError:
        return False
    return True
