"""How fast are images seen, against a fresh DataLoader for each folder and encoder?

    python benchmarks/scoring.py [FOLDER] [--encoders a,b,c] [--device cpu] [--rounds 5]

FOLDER is a tree of images, as a run's `images/`; without it, folders of noise are made. Ours is
one pass: an image is decoded once for all encoders. The peer is how scoring scripts are commonly
written: for each encoder and folder a new `DataLoader` (0 workers, then `--workers`). Both use the
same encoders, preparation and batch size, warmed up and alternated; medians over the rounds. The
largest difference of a feature, relative to its norm, stands beside every ratio."""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from lycoris_bench.data.images import SUFFIXES, read_image
from lycoris_bench.run.environment import device
from lycoris_bench.run.store import Store
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.embeddings import Embedder
from lycoris_bench.scoring.encoders.base import Encoder
from lycoris_bench.scoring.feature_pass import feature_pass, threads_for
from lycoris_bench.scoring.gram_features import Pools
from lycoris_bench.scoring.metrics.gram_statistics import GramSet

Seen = dict[str, np.ndarray]


class Prepared(Dataset):
    """The images of a folder as an encoder takes them."""

    def __init__(self, paths: list[Path], encoder: Encoder) -> None:
        self.paths, self.encoder = paths, encoder

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> torch.Tensor:
        return self.encoder.prepare(read_image(self.paths[row]))


def theirs(folders: list[list[Path]], loaded: list[Encoder], batch: int, workers: int) -> Seen:
    """Encoder by encoder, folder by folder, each with a loader of its own."""
    seen: Seen = {}
    for encoder in loaded:
        parts, pool = [], GramSet()
        for paths in folders:
            for images in DataLoader(Prepared(paths, encoder), batch, num_workers=workers):
                out = encoder.encode(images)
                if isinstance(out, list):
                    pool.add(out)
                else:
                    parts.append(out.float().cpu().numpy())
        seen[encoder.record.name] = (
            np.concatenate(parts) if parts else np.concatenate([m.ravel() for m in pool.mean])[None]
        )
    return seen


def ours(folders: list[list[Path]], loaded: list[Encoder], batch: int, where: str) -> Seen:
    """One pass over all images for all encoders."""
    items = [(str(path), path) for paths in folders for path in paths]
    uids = tuple(uid for uid, _ in items)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        consumers = [
            Pools(encoder, [uids], batch)
            if encoder.record.outputs == "gram"
            else Embedder(store, Path(encoder.record.name), encoder, items, batch)
            for encoder in loaded
        ]
        feature_pass(items, consumers, threads_for(where))
    return {
        one.encoder.record.name: np.concatenate([m.ravel() for m in one.pools[uids].mean])[None]
        if isinstance(one, Pools)
        else np.stack(list(one.features.values()))
        for one in consumers
    }


def main() -> None:
    """Prints one line a peer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--encoders", default="miniature-image,miniature-image-text,miniature-gram")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=64, help="of the pictures of noise")
    given = parser.parse_args()
    torch.set_num_threads(1)
    where = device(given.device)
    loaded = [encoders.load(spec, where) for spec in given.encoders.split(",")]
    with tempfile.TemporaryDirectory() as made:
        folders = tree(Path(given.folder) if given.folder else noise(Path(made), given.side))
        images = sum(map(len, folders))
        print(f"{platform.processor() or where}, torch {torch.__version__}, one thread, fp32, "
              f"{images} images in {len(folders)} folders, batch {given.batch_size}, "
              f"{len(loaded)} encoders: {given.encoders}")  # fmt: skip
        ways: dict[str, Callable[[], Seen]] = {
            "one pass": lambda: ours(folders, loaded, given.batch_size, where)
        }
        for workers in dict.fromkeys((0, given.workers)):
            ways[f"a loader each, {workers} workers"] = lambda workers=workers: theirs(
                folders, loaded, given.batch_size, workers
            )
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        found = {name: way() for name, way in ways.items()}  # warm
        for _ in range(given.rounds):
            for name, way in ways.items():
                start = time.perf_counter()
                found[name] = way()
                seconds[name].append(time.perf_counter() - start)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    for name, value in median.items():
        worst = max(difference(found[name][key], rows) for key, rows in found["one pass"].items())
        print(f"{name:<28} {images / value:8.1f} images/s  {value / median['one pass']:5.2f} x "
              f"the time of one pass  largest difference {worst:.1e}")  # fmt: skip


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Largest |a - b| / |b| of a row."""
    return float((np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1)).max())


def tree(root: Path) -> list[list[Path]]:
    """The images of each folder below."""
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
    return [[p for p in paths if p.parent == one] for one in dict.fromkeys(p.parent for p in paths)]


def noise(root: Path, side: int, folders: int = 20, images: int = 10) -> Path:
    """Folders of smooth random pictures."""
    rng = np.random.default_rng(0)
    for k in range(folders * images):
        small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        path = root / f"{k // images:03d}" / f"{k:05d}.png"
        path.parent.mkdir(exist_ok=True)
        small.resize((side, side), Image.Resampling.BICUBIC).save(path, compress_level=1)
    return root


if __name__ == "__main__":
    main()
