"""Cuts an image that shows several in rows and columns, where it is told how many. The pieces lie
in the run folder; the image itself is not touched."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lycoris_bench.data.images import read_image
from lycoris_bench.data.seen import identity
from lycoris_bench.messages.errors import BenchError

MOST = 64  # rows, or columns


@dataclass(frozen=True)
class Tile:
    """A piece, as a file of its own."""

    path: Path
    uid: str
    size: tuple[int, int]


@dataclass(frozen=True)
class Grids:
    """Images of so many rows and columns; pieces are written by `write` into `folder`."""

    rows: int
    columns: int
    folder: Path
    write: Callable[[Path, bytes], Path]

    def cut(self, path: Path, uid: str) -> list[Tile]:
        """The pieces, row by row. BenchError: the image's sides cannot be parted so."""
        image = read_image(path)
        width, height = image.width // self.columns, image.height // self.rows
        if image.width % self.columns or image.height % self.rows:
            raise BenchError(
                f"it is {image.width} x {image.height} pixels large, which are not {self.rows} "
                f"rows of {self.columns} equal images"
            )
        tiles = []
        for k in range(self.rows * self.columns):
            left, top = (k % self.columns) * width, (k // self.columns) * height
            buffer = io.BytesIO()
            image.crop((left, top, left + width, top + height)).save(buffer, "PNG")
            place = self.folder / f"{uid[:32]}-{k:03d}.png"
            data = buffer.getvalue()
            if not place.exists() or place.read_bytes() != data:
                self.write(place, data)
            tiles.append(Tile(place, identity(data), (width, height)))
        return tiles


def shape(text: str) -> tuple[int, int]:
    """Rows and columns of "2x3". BenchError: it is no such text."""
    found = re.fullmatch(r"\s*(\d{1,3})\s*[xX]\s*(\d{1,3})\s*", text)
    sides = (int(found[1]), int(found[2])) if found else (0, 0)
    if not all(1 <= side <= MOST for side in sides):
        raise BenchError(f"--grid is '{text}'; rows and columns such as 2x3 are needed, each 1 "
                         f"to {MOST}")  # fmt: skip
    return sides
