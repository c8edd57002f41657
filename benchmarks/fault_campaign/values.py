"""The values of a run folder, compared with those of the undisturbed run, bit by bit."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Changes:
    """How many rows of the metric table, images and weights are missing or other ones; and tables
    of parts of image sets, and files that were left behind half written."""

    rows: int
    images: int
    weights: int
    parts: int
    partial: int

    @classmethod
    def between(cls, reference: Path, root: Path, all_images: bool = True) -> "Changes":
        """Those of `root`; of images that are missing none counts unless `all_images` are kept."""
        return cls(
            _rows(reference / "metrics.parquet", root / "metrics.parquet"),
            _files(reference, root, "images/**/*.png", all_images),
            _files(reference, root, "checkpoints/**/*.safetensors"),
            sum(
                bool(_rows(path, root / path.relative_to(reference)))
                for path in reference.glob("metrics/**/*.parquet")
            ),
            len(list(root.rglob("*.part"))),
        )

    def __bool__(self) -> bool:
        return any(vars(self).values())


def _rows(reference: Path, other: Path) -> int:
    """The rows of two tables that differ, or that one has alone."""
    from lycoris_bench.files import parquet

    mine, theirs = parquet.read(reference), parquet.read(other)
    assert mine is not None, reference
    if theirs is None or list(theirs[0].columns) != list(mine[0].columns):
        return len(mine[0])
    a, b = mine[0].reset_index(drop=True), theirs[0].reset_index(drop=True)
    both = min(len(a), len(b))
    same = a[:both].eq(b[:both]) | (a[:both].isna() & b[:both].isna())
    return int((~same.all(axis=1)).sum()) + abs(len(a) - len(b))


def _files(reference: Path, root: Path, pattern: str, whole: bool = True) -> int:
    """The files that differ, or that the `whole` run folder lacks."""
    differ = 0
    for path in reference.glob(pattern):
        other = root / path.relative_to(reference)
        differ += other.read_bytes() != path.read_bytes() if other.is_file() else whole
    return differ
