"""How fast are images scored, against a fresh DataLoader for each folder and encoder?

    python -m benchmarks.scoring                              # the miniature world's encoders
    python -m benchmarks.scoring --study                      # as a study: base is compared with
    python -m benchmarks.scoring --paper [--narrow] --images 2 --side 512      # the paper's ten

FOLDER is a tree of images, as a run's `images/`; without it, folders of smooth noise are made. Ours
is one pass: an image is read once for all encoders, and resizings that look the same are one. The
peer is how scoring scripts are commonly written: for each encoder and folder a new `DataLoader`
(0 workers, then `--workers`). Both use the same networks, preparation and batch size, warmed up and
alternated: medians of seconds, and of CPU seconds with those of ended workers. The largest
difference of a feature, relative to its norm, stands beside every ratio. The line `arithmetic` is
what the networks alone take in one pass: no reader can be faster.

With `--study` the folders are those of a checkpoint, scored four times, and Gram matrices are
compared with those of base: the peer reads and encodes base each time. `--paper` has random
weights: no network is downloaded."""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from lycoris_bench.data.images import read_image
from lycoris_bench.run.environment import device
from lycoris_bench.run.store import Store
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.embeddings import Embedder
from lycoris_bench.scoring.encoders.base import Encoder
from lycoris_bench.scoring.feature_pass import Consumer, feature_pass, threads_for
from lycoris_bench.scoring.gram_features import Pairs, Pools
from lycoris_bench.scoring.metrics.gram_statistics import GramSet
from lycoris_bench.scoring.metrics.style_loss import style_loss
from tests.support.noise import Folders, noise, tree
from tests.support.random_encoders import random_encoder

Seen = dict[str, np.ndarray]
MINIATURE = ["miniature-image", "miniature-image-text", "miniature-gram"]
PAPER = [
    "dinov2-l:letterbox", "dinov2-l:crop", "dinov2-l:stretch",
    "clip-l-datacomp:letterbox", "clip-l-datacomp:crop", "clip-l-datacomp:stretch",
    "convnextv2-l:scale", "convnextv2-l:letterbox", "convnextv2-l:crop", "vgg19:scale",
]  # fmt: skip


class Prepared(Dataset):
    """The images of a folder as an encoder takes them."""

    def __init__(self, paths: list[Path], encoder: Encoder) -> None:
        self.paths, self.encoder = paths, encoder

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> torch.Tensor:
        return self.encoder.prepare(read_image(self.paths[row]))


def theirs(
    folders: Folders, loaded: list[Encoder], batch: int, workers: int, base: Folders
) -> Seen:
    """Encoder by encoder, folder by folder, each with a loader of its own."""
    seen: Seen = {}
    for encoder in loaded:
        gram, parts, pool = encoder.record.outputs == "gram", [], GramSet()

        def encoded(paths: list[Path], encoder: Encoder = encoder) -> list:
            loader = DataLoader(Prepared(paths, encoder), batch, num_workers=workers)
            return [encoder.encode(images) for images in loader]

        for k, paths in enumerate(folders):
            found = encoded(paths)
            if gram and base:
                pairs = zip(found, encoded(base[k]), strict=True)
                parts += [style_loss(a, b)[:, None] for a, b in pairs]
            elif gram:
                for out in found:
                    pool.add(out)
            else:
                parts += [out.float().cpu().numpy() for out in found]
        seen[_name(encoder)] = np.concatenate(parts) if parts else _mean(pool)
    return seen


def ours(folders: Folders, loaded: list[Encoder], batch: int, where: str, base: Folders) -> Seen:
    """One pass over all images for all encoders."""
    items = [(str(path), path) for paths in folders for path in paths]
    uids = tuple(uid for uid, _ in items)
    others = [(str(path), path) for paths in base for path in paths]
    square = all(len(set(read_image(path).size)) == 1 for _, path in items[:1])
    consumers: dict[str, Consumer] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        for encoder in loaded:
            name = _name(encoder)
            if encoder.record.outputs != "gram":
                consumers[name] = next(
                    (one for one in consumers.values() if square and isinstance(one, Embedder)
                     and one.encoder.record.name == encoder.record.name),
                    Embedder(store, Path(name), encoder, items, batch),
                )  # fmt: skip
            elif base:
                partners = dict(zip(uids, others, strict=True))
                consumers[name] = Pairs(encoder, [style_loss], partners, batch)
            else:
                consumers[name] = Pools(encoder, [uids], batch)
        once = list({id(one): one for one in consumers.values()}.values())
        feature_pass(items, once, threads_for(where))
    return {name: _features(one, uids) for name, one in consumers.items()}


def _features(one: Consumer, uids: tuple[str, ...]) -> np.ndarray:
    if isinstance(one, Pools):
        return _mean(one.pools[uids])
    if isinstance(one, Pairs):
        return np.array([[one.values["style_loss", uid]] for uid in uids])
    return np.stack([one.features[uid] for uid in uids])


def _mean(pool: GramSet) -> np.ndarray:
    return np.concatenate([m.ravel() for m in pool.mean])[None]


def _name(encoder: Encoder) -> str:
    return f"{encoder.record.name}:{encoder.record.resize}"


def arithmetic(folders: Folders, loaded: list[Encoder], batch: int) -> Callable[[], None]:
    """The networks alone, on batches that are prepared: each network once an image."""
    paths = [path for some in folders for path in some]
    networks = {encoder.record.name: encoder for encoder in loaded}.values()
    ready = [
        (encoder, [encoder.prepare(read_image(path)) for path in paths]) for encoder in networks
    ]

    def work() -> None:
        for encoder, images in ready:
            for k in range(0, len(images), batch):
                encoder.encode(images[k : k + batch])

    return work


def clocks() -> tuple[float, float]:
    """Seconds, and CPU seconds of this process and of its children that have ended."""
    spent = os.times()
    return time.perf_counter(), sum(spent[:4])


def main() -> None:
    """Prints one line a way."""
    given = arguments()
    torch.set_num_threads(1)
    where = device(given.device)
    loaded = chosen(given, where)
    with tempfile.TemporaryDirectory() as made:
        count = -(-given.images // 10)
        root = (
            Path(given.folder)
            if given.folder
            else noise(Path(made), given.side, count, given.images)
        )
        folders = tree(root)
        base = (
            tree(noise(Path(made), given.side, count, given.images, seed=1)) if given.study else []
        )
        images, rounds = sum(map(len, folders)), 4 if given.study else 1
        print(f"{platform.processor() or where}, torch {torch.__version__}, one thread, fp32, "
              f"{images} images of {given.side} in {len(folders)} folders, "
              f"{'four checkpoints against base, ' if given.study else ''}"
              f"batch {given.batch_size}, {len(loaded)} encoders: "
              f"{', '.join(map(_name, loaded))}")  # fmt: skip
        common = (folders, loaded, given.batch_size)
        ways: dict[str, Callable[[], Seen | None]] = {
            "one pass": lambda: [ours(*common, where, base) for _ in range(rounds)][-1],
            "arithmetic": arithmetic(*common),
        }
        for workers in dict.fromkeys((0, given.workers)):
            ways[f"a loader each, {workers} workers"] = lambda workers=workers: [
                theirs(*common, workers, base) for _ in range(rounds)
            ][-1]
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        found = {name: way() for name, way in ways.items()}  # warm
        for _ in range(given.rounds):
            for name, way in ways.items():
                before = clocks()
                way()
                spent[name].append(tuple(b - a for a, b in zip(before, clocks(), strict=True)))
    wall, cpu = (
        {name: statistics.median(one[k] for one in times) for name, times in spent.items()}
        for k in (0, 1)
    )
    for name, seconds in wall.items():
        scored = images * (1 if name == "arithmetic" else rounds)
        each = [
            clock[name] / scored / (clock["one pass"] / images / rounds) for clock in (wall, cpu)
        ]
        seen, mine = found[name], found["one pass"]
        worst = ""
        if seen:
            worst = f"  largest difference {max(difference(seen[k], mine[k]) for k in mine):.1e}"
        print(f"{name:<28} {scored / seconds:8.1f} images/s  {each[0]:5.2f} x the time and "
              f"{each[1]:5.2f} x the CPU time of one pass{worst}")  # fmt: skip


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--encoders", default=",".join(MINIATURE))
    parser.add_argument("--paper", action="store_true", help="the paper's ten, random weights")
    parser.add_argument("--narrow", action="store_true", help="of those, narrowed")
    parser.add_argument("--study", action="store_true", help="several checkpoints against base")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--side", type=int, default=64, help="of the pictures of noise")
    return parser.parse_args()


def chosen(given: argparse.Namespace, where: str) -> list[Encoder]:
    """The encoders, a network each."""
    if not given.paper:
        return [encoders.load(spec, where) for spec in given.encoders.split(",")]
    networks = {
        name: random_encoder(name, where, given.narrow)
        for name in dict.fromkeys(spec.partition(":")[0] for spec in PAPER)
    }
    return [
        (encoder := networks[spec.partition(":")[0]]).with_record(
            encoder.record.with_resize(spec.partition(":")[2])
        )
        for spec in PAPER
    ]


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Largest |a - b| / |b| of a row."""
    return float((np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1)).max())


if __name__ == "__main__":
    main()
