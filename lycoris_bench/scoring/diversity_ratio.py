"""Feature relevance (paper, H.1): does an encoder see what the images of a class have in common?

    diversity ratio = diversity of the images of a class / diversity of all images

The smaller the ratio, the more the encoder's features depend on the class."""

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
SAME = 1e-5  # relative difference of features up to which two images count as equal
VIEW = ["encoder", "resize", "measure"]
COLUMNS = ["folder", "n", *VIEW, "value", "ratio"]


class RelevanceError(BenchError):
    """The folder, the sizes or the encoders do not allow a diversity ratio."""


def relevance(
    root: Path,
    specs: Sequence[str],
    sizes: Sequence[int] = (),
    seed: int = 0,
    device: str = "cpu",
    batch_size: int = 16,
) -> pd.DataFrame:
    """Vendi score, dissimilarity and variance of each class folder, each folder of classes and all
    images (folder "."), with their ratios: a table with COLUMNS.

    Each is computed on all images of a folder, and on a sample of each of `sizes` where the folder
    has more images. The sample depends on `seed` and the folder's name, not on the encoder."""
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
    table = []
    for collector in collectors:
        vectors, record = np.concatenate(collector.parts), collector.encoder.record
        _directed(vectors, folders[WHOLE], record.name)
        about = {"encoder": record.name, "resize": record.resize}
        for folder, paths in folders.items():
            rows = np.array([row[path] for path in paths])
            for sample in samples(rows, folder, sizes, seed):
                table += [
                    {"folder": folder, "n": len(sample), **about, "measure": name, "value": value}
                    for name, value in diversity(vectors[sample]).items()
                ]
    return ratios(pd.DataFrame(table))


def _once(specs: Sequence[str]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for spec in specs:
        record = encoders.record(spec)
        if first := seen.get((record.name, record.resize)):
            raise RelevanceError(f"encoders '{first}' and '{spec}' are the same; name it once")
        seen[record.name, record.resize] = spec


def diversity(vectors: np.ndarray[Any, Any]) -> dict[str, float]:
    """The measures of n vectors [n, d]. Where all are equal up to rounding, the values are exact:
    1, 0 and 0."""
    if np.abs(vectors - vectors[0]).max() <= SAME * np.abs(vectors).max():
        return {"vendi": 1.0, "dissimilarity": 0.0, "variance": 0.0}
    groups = np.zeros(len(vectors), int)
    return {name: float(measure(vectors, groups)) for name, measure in MEASURES.items()}


def _directed(vectors: np.ndarray[Any, Any], paths: Sequence[Path], encoder: str) -> None:
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    wrong = np.flatnonzero((norms == 0) | ~np.isfinite(norms))
    if wrong.size:
        raise RelevanceError(
            f"{encoder} gives {paths[wrong[0]]} features of norm {norms[wrong[0]]:g}, which have "
            "no direction; leave the image out"
            + (f" (and {wrong.size - 1} more)" if wrong.size > 1 else "")
        )


def ratios(table: pd.DataFrame) -> pd.DataFrame:
    """Adds the column `ratio` to a table of folder, n, encoder, resize, measure and value: the
    value over that of all images at the same n, or at the largest n where that was not computed.
    It is NaN where an encoder gives all images the same features.

    A ratio at equal n is fairer, since the Vendi score grows with the number of images."""
    whole = table[table["folder"] == WHOLE].sort_values("n")
    largest = whole.drop_duplicates(VIEW, keep="last").set_index(VIEW)["value"]
    same = whole.drop_duplicates([*VIEW, "n"]).set_index([*VIEW, "n"])["value"]
    against = same.reindex(pd.MultiIndex.from_frame(table[[*VIEW, "n"]])).to_numpy()
    fallback = largest.reindex(pd.MultiIndex.from_frame(table[VIEW])).to_numpy()
    against = np.where(np.isnan(against), fallback, against)
    return table.assign(ratio=table["value"] / np.where(against == 0, np.nan, against))


def as_csv(table: pd.DataFrame) -> str:
    """The table as CSV, with folder names made safe for terminals and spreadsheets."""
    return csv(table)


def refuse_foreign(out: Path, force: bool) -> None:
    """RelevanceError: the output file exists and is no table of this command. With `force` only
    what is no plain file is refused."""
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
    """Folder -> its images and those of its sub-folders. The folders are the classes (folders
    without sub-folders), their parents, and "." for all images. Classes of one image are
    `left_out`."""
    folders = _folders(root)
    kept = set(_leaves(folders)) - set(left_out(root))
    if len(kept) < 2:
        raise RelevanceError(
            f"{root} has {len(kept)} folders of two images or more; "
            "at least two are needed, a class each"
        )
    above = {parent.as_posix() for leaf in kept for parent in Path(leaf).parents}
    return {folder: images for folder, images in folders.items() if folder in kept | above}


def left_out(root: Path) -> list[str]:
    """The classes of one image, which has no diversity. It still counts among all images."""
    folders = _folders(root)
    return [leaf for leaf in _leaves(folders) if len(folders[leaf]) == 1]


def _folders(root: Path) -> dict[str, list[Path]]:
    if not root.is_dir():
        raise RelevanceError(f"there is no folder {root}; give one with a folder of images a class")
    folders: dict[str, list[Path]] = {WHOLE: []}
    for path in images_below(root):
        for parent in path.relative_to(root).parents:
            folders.setdefault(parent.as_posix(), []).append(path)
    return folders


def _leaves(folders: Iterable[str]) -> list[str]:
    """The folders that contain no other of the given folders."""
    above = {Path(folder).parent.as_posix() for folder in folders}
    return [folder for folder in folders if folder not in above and folder != WHOLE]


def samples(
    rows: np.ndarray[Any, Any], folder: str, sizes: Sequence[int], seed: int
) -> Iterator[np.ndarray[Any, Any]]:
    """All rows, then a sample without replacement of each size below their number."""
    yield rows
    for size in sorted(set(sizes)):
        if size < len(rows):
            generator = np.random.default_rng([seed, size, zlib.crc32(folder.encode())])
            yield np.sort(generator.choice(rows, size, replace=False))


class VectorCollector(Consumer):
    """Keeps one feature vector per image; Gram matrices are flattened to one."""

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
    """The mean ratio over the class folders, one line per encoder, smallest first: for samples of
    each of `sizes`, or without sizes for all images of each class."""
    leaves = table[table["folder"].isin(_leaves(table["folder"].unique()))]
    if not sizes:
        every = leaves.sort_values("n").drop_duplicates(["folder", *VIEW], keep="last")
        return "\n".join(_means(every, "all their images (--sizes compares equal numbers)"))
    blocks = [_means(leaves[leaves["n"] == n], f"{n} images each") for n in sorted(set(sizes))]
    return "\n\n".join("\n".join(block) for block in blocks)


def _means(leaves: pd.DataFrame, of: str) -> list[str]:
    """The lines of the mean ratio of each encoder and measure."""
    if leaves.empty:
        return [f"no class has samples of {of}"]
    lines = [
        f"mean diversity ratio of {leaves['folder'].nunique()} classes, of {of} "
        "(smaller: more relevant)",
        f"{'encoder':<34}" + "".join(f"{name:>16}" for name in MEASURES),
    ]
    means = leaves.groupby(["encoder", "resize", "measure"])["ratio"].mean().unstack("measure")
    for row in means.sort_values("dissimilarity").reset_index().to_dict("records"):
        view = f"{row['encoder']}:{row['resize']}"
        cells = [f"{row[m]:>16.3f}" if np.isfinite(row[m]) else f"{'-':>16}" for m in MEASURES]
        lines.append(f"{view:<34}" + "".join(cells))
        if not np.isfinite(row["dissimilarity"]):
            lines.append(f"  {view} gives all images the same features: they have no ratio (-)")
    return lines
