"""Outputs, written whole: a temporary name beside the place, then a rename."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lycoris_bench.files.disk import PARTIAL, kind_of, never_written
from lycoris_bench.messages.errors import BenchError

LONGEST = 255  # bytes of a name, on every common file system
PIPELINE = "model_index.json"  # what marks a folder as a pipeline's, which --force may replace


class OutputError(BenchError):
    """The result cannot be written: one sentence."""


def check(path: Path, inputs: list[Path], force: bool, folder: bool = False) -> None:
    """Raises `OutputError` before any work where the output, a file or a `folder`, cannot be
    written: it is there already, is an input, or is no place for a file.

    A link is replaced, never what it points to; a link to a pipe or device is refused."""
    if "\0" in str(path) or not path.name:
        raise OutputError(f"{str(path)!r} is no name of a file; give another place with -o")
    try:
        place = path.resolve()
        there = os.path.lexists(path)
    except (OSError, RuntimeError) as error:  # a circle of links is a RuntimeError
        raise OutputError(f"{path} cannot be written: {_reason(error)}") from None
    if len(os.fsencode(path.name)) > LONGEST:
        raise OutputError(f"{path} cannot be written: File name too long")
    for source in (one.resolve() for one in inputs):
        if place == source or source in place.parents:
            raise OutputError(f"the output {path} is, or lies in, the input {source}; "
                              "give another place with -o")  # fmt: skip
        if place in source.parents:
            raise OutputError(f"the input {source} lies in the output {path}; "
                              "give another place with -o")  # fmt: skip
    _refuse_special(path, folder)
    if there:
        _check_present(path, force, folder)
    for parent in path.absolute().parents:
        if os.path.lexists(parent):
            if not parent.is_dir():
                raise OutputError(f"{path} cannot be written: {parent} is no folder")
            break


def _refuse_special(path: Path, folder: bool) -> None:
    if kind := never_written(path, folder=folder):
        raise OutputError(f"{path} is {kind}, which is not replaced; give another place with -o")


def _check_present(path: Path, force: bool, folder: bool) -> None:
    if folder and kind_of(path) is None:
        raise OutputError(f"{path} is a file, and the result is a folder; give another place "
                          "with -o")  # fmt: skip
    empty = folder and not any(path.iterdir())
    if not force and not empty:
        raise OutputError(f"{path} is there already; --force replaces it")
    if folder and not empty and not _ours(path):
        raise OutputError(f"{path} is a folder that holds other things; give another place with -o")


@contextlib.contextmanager
def whole_file(path: Path, force: bool = False) -> Iterator[BinaryIO]:
    """A file that appears under its name when all of it is on the disk."""
    part = _beside(path)
    with _written(path, part):
        _refuse_special(path, folder=False)
        if os.path.lexists(path):
            _check_present(path, force, folder=False)
        with part.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


@contextlib.contextmanager
def whole_folder(path: Path, force: bool = False) -> Iterator[Path]:
    """A folder that appears under its name when all of it is there."""
    part, old = _beside(path), path.with_name(f".{os.getpid()}.old")
    with _written(path, part):
        _refuse_special(path, folder=True)
        part.mkdir()
        yield part
        if os.path.lexists(path):
            _check_present(path, force, folder=True)
            path.replace(old)
        part.replace(path)
        if old.is_symlink():
            old.unlink()
        shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def _written(path: Path, part: Path) -> Iterator[None]:
    """Removes what is half written, whatever happened; disk errors become a sentence."""
    new = [parent for parent in path.absolute().parents if not parent.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise OutputError(
                f"no space left on the disk for {path}; nothing was written"
            ) from None
        raise OutputError(f"{path} cannot be written: {_reason(error)}") from None
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        for parent in new:  # those that were made here and hold nothing
            with contextlib.suppress(OSError):
                parent.rmdir()


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _beside(path: Path) -> Path:
    return path.with_name(f".{os.getpid()}{PARTIAL}")  # as short as any name that fits


def _ours(path: Path) -> bool:
    """A pipeline or an adapter folder: what these commands write."""
    return (path / PIPELINE).exists() or any(path.glob("*/adapter_config.json"))
