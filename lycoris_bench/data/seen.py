"""A cache of pictures that were decoded before, so that scans decode each file once."""

import contextlib
import hashlib
from collections.abc import Iterable
from pathlib import Path

from lycoris_bench.data.images import DataError, check
from lycoris_bench.data.png import key_was_missed
from lycoris_bench.files import disk
from lycoris_bench.files.identity import uid

READING = 3  # rises whenever `images` shows a picture in another size, or refuses another


class Seen:
    """A file of lines `sha256 width height seal` in the user's cache. A line is only believed of
    bytes that have its SHA-256, and with its own seal; whatever is wrong with the file or its
    folder costs time and nothing else."""

    def __init__(self, folder: Path | None = None) -> None:
        self.path = (folder or disk.cache_folder()) / "images.txt"
        self.known: dict[str, tuple[int, int]] = {}
        with contextlib.suppress(disk.FileError):
            for line in disk.read_lines(self.path):
                self._take(line.split())

    def size(self, data: bytes, sha256: str) -> tuple[int, int] | str:
        """Width and height as shown, or why the bytes are no picture."""
        if sha256 not in self.known:
            measured = check(data)
            if isinstance(measured, str):
                return measured
            self.known[sha256] = measured
            self._keep(f"{sha256} {measured[0]} {measured[1]} {_seal(sha256, *measured)}\n")
        return self.known[sha256]

    def _take(self, words: list[str]) -> None:
        with contextlib.suppress(ValueError):
            sha256, width, height, seal = words
            if seal == _seal(sha256, int(width), int(height)):
                self.known[sha256] = int(width), int(height)

    def _keep(self, line: str) -> None:
        """Appends a line; short appends are atomic, so that several processes may write."""
        with contextlib.suppress(OSError, disk.FileError):
            disk.refuse_special(self.path)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as handle:
                handle.write(line.encode())


def whole(root: Path, images: Iterable[Path]) -> None:
    """Decodes each picture that was not decoded before. DataError: names all broken ones."""
    seen, problems = Seen(), []
    for image in images:
        try:
            data = disk.read_bytes(image)
        except disk.FileError as error:
            problems.append(str(error))
            continue
        size = seen.size(data, identity(data))
        problems += [f"{image}: {size}"] if isinstance(size, str) else []
    if problems:
        raise DataError(f"folder {root}", problems)


def _seal(sha256: str, width: int, height: int) -> str:
    return uid("image", READING, sha256, width, height)


def identity(data: bytes) -> str:
    """SHA-256 that identifies a picture's file in every result that depends on it.

    TIFFs, some of which version 0.1 read as black, and PNGs whose transparent colour it missed have
    another identity than their bytes alone, so that no result of 0.1 is taken for a present one."""
    read_otherwise = data[:2] in (b"II", b"MM") or key_was_missed(data)
    return hashlib.sha256(data + (b"2" if read_otherwise else b"")).hexdigest()
