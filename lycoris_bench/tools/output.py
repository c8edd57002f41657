"""Outputs, written whole: a temporary name beside the place, then a rename."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lycoris_bench.errors import BenchError

PIPELINE = "model_index.json"  # what marks a folder as a pipeline's, which --force may replace


class OutputError(BenchError):
    """The result cannot be written: one sentence."""


def check(path: Path, inputs: list[Path], force: bool) -> None:
    """Raises `OutputError` before any work where the output is there already or is an input."""
    place = path.resolve()
    for source in (one.resolve() for one in inputs):
        if place == source or source in place.parents:
            raise OutputError(f"the output {path} is, or lies in, the input {source}; "
                              "give another place with -o")  # fmt: skip
        if place in source.parents:
            raise OutputError(f"the input {source} lies in the output {path}; "
                              "give another place with -o")  # fmt: skip
    if not path.exists():
        return
    if not force:
        raise OutputError(f"{path} is there already; --force replaces it")
    if path.is_dir() and any(path.iterdir()) and not _ours(path):
        raise OutputError(f"{path} is a folder that holds other things; give another place with -o")


@contextlib.contextmanager
def whole_file(path: Path, force: bool = False) -> Iterator[BinaryIO]:
    """A file that appears under its name when all of it is on the disk."""
    part = _beside(path)
    with _written(path, part):
        if path.exists() and not force:
            raise OutputError(f"{path} is there already; --force replaces it")
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


@contextlib.contextmanager
def whole_folder(path: Path, force: bool = False) -> Iterator[Path]:
    """A folder that appears under its name when all of it is there."""
    part, old = _beside(path), path.with_name(f".{path.name}.{os.getpid()}.old")
    with _written(path, part):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir()
        yield part
        if path.exists():
            if not force and any(path.iterdir()):
                raise OutputError(f"{path} is there already; --force replaces it")
            path.replace(old)
        part.replace(path)
        shutil.rmtree(old, ignore_errors=True)


def put(path: Path, content: bytes, force: bool = False) -> None:
    """A small file, whole."""
    with whole_file(path, force) as file:
        file.write(content)


@contextlib.contextmanager
def _written(path: Path, part: Path) -> Iterator[None]:
    """Removes what is half written, whatever happened; disk errors become a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise OutputError(
                f"no space left on the disk for {path}; nothing was written"
            ) from None
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _ours(path: Path) -> bool:
    """A pipeline or an adapter folder: what these commands write."""
    return (path / PIPELINE).exists() or any(path.glob("*/adapter_config.json"))
