"""Folders of smooth random pictures, for what reads files."""

from pathlib import Path

import numpy as np
from PIL import Image

from lycoris_bench.data.images import SUFFIXES

Folders = list[list[Path]]


def tree(root: Path) -> Folders:
    """The images of each folder below."""
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
    return [[p for p in paths if p.parent == one] for one in dict.fromkeys(p.parent for p in paths)]


def noise(root: Path, side: int, folders: int = 20, images: int = 200, seed: int = 0) -> Path:
    """Folders of smooth random pictures."""
    rng = np.random.default_rng(seed)
    for k in range(images):
        small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        path = root / f"seed-{seed}" / f"{k * folders // images:03d}" / f"{k:05d}.png"
        path.parent.mkdir(exist_ok=True, parents=True)
        small.resize((side, side), Image.Resampling.BICUBIC).save(path, compress_level=1)
    return root / f"seed-{seed}"
