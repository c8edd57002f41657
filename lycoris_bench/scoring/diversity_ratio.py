"""Feature relevance (paper, H.1): does an encoder see what the images of a class have in common?

    diversity ratio = diversity of the images of a class / diversity of all images

The smaller the ratio, the more the class matters among what the encoder sees."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lycoris_bench.data.folders import images_below
from lycoris_bench.data.seen import whole
from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.printable import csv
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.encoders.base import Encoder
from lycoris_bench.scoring.feature_pass import (
    Consumer,
    feature_pass,
    shared_encoder,
    threads_for,
)
from lycoris_bench.scoring.metrics.dissimilarity import dissimilarity
from lycoris_bench.scoring.metrics.variance import variance
from lycoris_bench.scoring.metrics.vendi import vendi

MEASURES = {"vendi": vendi, "dissimilarity": dissimilarity, "variance": variance}
ENCODERS = ("dinov2-l", "convnextv2-l", "clip-l-datacomp")
WHOLE = "."
SAME = 1e-5  # relative: two runs of a network on one image agree to this
VIEW = ["encoder", "resize", "measure"]
COLUMNS = ["folder", "n", *VIEW, "value", "ratio"]


class RelevanceError(BenchError):
    """What is wrong with the folder or the sizes: one sentence."""


def relevance(
    root: Path,
    specs: Sequence[str],
    sizes: Sequence[int] = (),
    seed: int = 0,
    device: str = "cpu",
    batch_size: int = 16,
) -> pd.DataFrame:
    """Vendi score, dissimilarity and variance of every class folder, of every folder of classes
    and of all images (folder "."), with their ratios.

    Each is taken of all images of a folder, and of a sample of each of `sizes` where it has more:
    the same sample for every encoder, drawn with `seed` and the folder's name. -> COLUMNS."""
    if wrong := [size for size in sizes if size < 2]:
        raise RelevanceError(f"a sample of {wrong[0]} has no diversity; sizes are 2 or more")
    for name, value, least in (("seed", seed, 0), ("batch-size", batch_size, 1)):
        if value < least:
            raise RelevanceError(f"--{name} is {value}; {least} or more is allowed")
    _once(specs)
    folders = classes(root)
    whole(root, folders[WHOLE])
    loaded = [shared_encoder(spec, device) for spec in specs]
    collectors = [VectorCollector(encoder, folders[WHOLE], batch_size) for encoder in loaded]
    items = [(str(path), path) for path in folders[WHOLE]]
    feature_pass(items, collectors, threads_for(device))
    row = {path: k for k, path in enumerate(folders[WHOLE])}
    made = []
    for collector in collectors:
        vectors, record = np.concatenate(collector.parts), collector.encoder.record
        _directed(vectors, folders[WHOLE], record.name)
        about = {"encoder": record.name, "resize": record.resize}
        for folder, paths in folders.items():
            rows = np.array([row[path] for path in paths])
            for sample in samples(rows, folder, sizes, seed):
                made += [
                    {"folder": folder, "n": len(sample), **about, "measure": name, "value": value}
                    for name, value in diversity(vectors[sample]).items()
                ]
    return ratios(pd.DataFrame(made))


def _once(specs: Sequence[str]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for spec in specs:
        record = encoders.record(spec)
        if first := seen.get((record.name, record.resize)):
            raise RelevanceError(f"encoders '{first}' and '{spec}' are the same; name it once")
        seen[record.name, record.resize] = spec


def diversity(vectors: np.ndarray[Any, Any]) -> dict[str, float]:
    """The measures of n vectors [n, d]; of n times the same one they are what they are by
    definition, without the rounding of the pixels' and the network's arithmetic."""
    if np.abs(vectors - vectors[0]).max() <= SAME * np.abs(vectors).max():
        return {"vendi": 1.0, "dissimilarity": 0.0, "variance": 0.0}
    groups = np.zeros(len(vectors), int)
    return {name: float(measure(vectors, groups)) for name, measure in MEASURES.items()}


def _directed(vectors: np.ndarray[Any, Any], paths: Sequence[Path], encoder: str) -> None:
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    wrong = np.flatnonzero((norms == 0) | ~np.isfinite(norms))
    if wrong.size:
        raise RelevanceError(
            f"{paths[wrong[0]]} is nothing to {encoder}: its features have the norm "
            f"{norms[wrong[0]]:g}; leave the image out"
            + (f" (and {wrong.size - 1} more)" if wrong.size > 1 else "")
        )


def ratios(table: pd.DataFrame) -> pd.DataFrame:
    """folder, n, encoder, resize, measure, value -> the same + `ratio`: the value over that of
    the whole set at the same n where that was taken, else over that of its largest n. Where all
    images are the same to an encoder there is none (NaN, in the file an empty cell).

    A ratio at equal n is the fairer one: a Vendi score grows with the number of images."""
    whole = table[table["folder"] == WHOLE].sort_values("n")
    largest = whole.drop_duplicates(VIEW, keep="last").set_index(VIEW)["value"]
    same = whole.drop_duplicates([*VIEW, "n"]).set_index([*VIEW, "n"])["value"]
    against = same.reindex(pd.MultiIndex.from_frame(table[[*VIEW, "n"]])).to_numpy()
    fallback = largest.reindex(pd.MultiIndex.from_frame(table[VIEW])).to_numpy()
    against = np.where(np.isnan(against), fallback, against)
    return table.assign(ratio=table["value"] / np.where(against == 0, np.nan, against))


def as_csv(table: pd.DataFrame) -> str:
    """The whole table, with names of folders as a terminal and a spreadsheet may show them."""
    return csv(table)


def refuse_foreign(out: Path, force: bool) -> None:
    """RelevanceError where the file to write is there and no table of this command; with `force`
    only what is no plain file is refused."""
    disk.refuse_special(out)
    if force or not out.exists():
        return
    with out.open("rb") as handle:
        first = handle.readline(1000).decode(errors="replace").strip()
    if first.split(",") != COLUMNS:
        raise RelevanceError(
            f"{out} is there and was not written by this command; "
            "give another --out, or --force to replace it"
        )


def classes(root: Path) -> dict[str, list[Path]]:
    """Folder -> its images, those of its sub-folders too: classes, which are folders without
    folders, what they lie in, and "." for all. Classes of one image are `left_out`."""
    found = _folders(root)
    kept = set(_leaves(found)) - set(left_out(root))
    if len(kept) < 2:
        raise RelevanceError(
            f"{root} has {len(kept)} folders of two images or more; "
            "at least two are needed, a class each"
        )
    above = {parent.as_posix() for leaf in kept for parent in Path(leaf).parents}
    return {folder: images for folder, images in found.items() if folder in kept | above}


def left_out(root: Path) -> list[str]:
    """The classes of one image: it has no diversity. It counts among all images all the same."""
    found = _folders(root)
    return [leaf for leaf in _leaves(found) if len(found[leaf]) == 1]


def _folders(root: Path) -> dict[str, list[Path]]:
    if not root.is_dir():
        raise RelevanceError(f"there is no folder {root}; give one with a folder of images a class")
    found: dict[str, list[Path]] = {WHOLE: []}
    for path in images_below(root):
        for parent in path.relative_to(root).parents:
            found.setdefault(parent.as_posix(), []).append(path)
    return found


def _leaves(folders: Iterable[str]) -> list[str]:
    """Of folders, all that they lie in among them, those in which no other lies."""
    above = {Path(folder).parent.as_posix() for folder in folders}
    return [folder for folder in folders if folder not in above and folder != WHOLE]


def samples(
    rows: np.ndarray[Any, Any], folder: str, sizes: Sequence[int], seed: int
) -> Iterator[np.ndarray[Any, Any]]:
    """All rows, then a sample without repetition of each size that is smaller."""
    yield rows
    for size in sorted(set(sizes)):
        if size < len(rows):
            generator = np.random.default_rng([seed, size, zlib.crc32(folder.encode())])
            yield np.sort(generator.choice(rows, size, replace=False))


class VectorCollector(Consumer):
    """Keeps one vector of each image; Gram matrices are laid out as one."""

    def __init__(self, encoder: Encoder, paths: Sequence[Path], batch_size: int) -> None:
        super().__init__(encoder.prepare, batch_size)
        self.encoder, self.paths = encoder, paths
        self.parts: list[np.ndarray[Any, Any]] = []

    @property
    def pending(self) -> list[str]:
        return [str(path) for path in self.paths]

    def take(self, uids: Sequence[str], prepared: Sequence[Any]) -> None:
        out = self.encoder.encode(prepared)
        layers = out if isinstance(out, list) else [out]
        flat = [layer.float().cpu().numpy().reshape(len(uids), -1) for layer in layers]
        self.parts.append(np.concatenate(flat, axis=1))


def summary(table: pd.DataFrame, sizes: Sequence[int] = ()) -> str:
    """The mean ratio over the class folders, an encoder a line, most relevant first: at each of
    the sizes, against as many of all images; without sizes of all images of each class."""
    leaves = table[table["folder"].isin(_leaves(table["folder"].unique()))]
    if not sizes:
        every = leaves.sort_values("n").drop_duplicates(["folder", *VIEW], keep="last")
        return "\n".join(_means(every, "all their images (--sizes compares equal numbers)"))
    blocks = [_means(leaves[leaves["n"] == n], f"{n} images each") for n in sorted(set(sizes))]
    return "\n\n".join("\n".join(block) for block in blocks)


def _means(leaves: pd.DataFrame, of: str) -> list[str]:
    """The mean ratio of each encoder and measure, and what has none."""
    if leaves.empty:
        return [f"no class has samples of {of}"]
    lines = [
        f"mean diversity ratio of {leaves['folder'].nunique()} classes, of {of} "
        "(smaller: more relevant)",
        f"{'encoder':<34}" + "".join(f"{name:>16}" for name in MEASURES),
    ]
    means = leaves.groupby(["encoder", "resize", "measure"])["ratio"].mean().unstack("measure")
    for (name, resize), row in means.sort_values("dissimilarity").iterrows():  # type: ignore[misc]
        view = f"{name}:{resize}"
        cells = [f"{row[m]:>16.3f}" if np.isfinite(row[m]) else f"{'-':>16}" for m in MEASURES]
        lines.append(f"{view:<34}" + "".join(cells))
        if not np.isfinite(row["dissimilarity"]):
            lines.append(f"  all images are the same to {view}: - is a ratio that there is not")
    return lines
