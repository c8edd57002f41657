"""Opens safetensors files, and the error for files that cannot be read or written."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
from torch import Tensor

from lycoris_bench.files.disk import kind_of
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.printable import printable

TO_PORTABLE = "convert to portable, which makes plain LoRA of what it can and names the rest"
"""What to do with an adapter that a layout cannot hold: the end of such an error's sentence."""


class AdapterFileError(BenchError):
    """The file is no adapter or is damaged, or the adapter cannot be written."""


MOST_HEADER = 100_000_000  # bytes, the format's own bound


def open_file(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors by name, in order; metadata). The tensors are views of the mapped file.

    Raises `AdapterFileError` for a pickle and for what is no whole safetensors file; a pipe, a
    device or a folder is refused unopened."""
    with _opened(path) as file:
        # the reader's own order changes
        tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
        return tensors, dict(file.metadata() or {})


def check_file(path: Path) -> None:
    """Holds the header against the file's length, and makes no tensor. Raises as `open_file`."""
    with _opened(path):
        pass


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    _refuse_others(path)
    try:
        with safetensors.safe_open(path, "pt") as file:
            yield file
    except (safetensors.SafetensorError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).split("\n")[0]
        raise AdapterFileError(
            _metadata_fault(path) or f"{path} is cut off or no safetensors file: {reason}"
        ) from None


def _metadata_fault(path: Path) -> str | None:
    """The fault of a file whose metadata alone are damaged, or None."""
    with path.open("rb") as file:
        size = min(int.from_bytes(file.read(8), "little"), MOST_HEADER)
        try:
            metadata = json.loads(file.read(size))["__metadata__"]
        except (ValueError, RecursionError, KeyError, TypeError):
            return None
    if not isinstance(metadata, dict):
        return f"{path}: its metadata is no object of names and texts; save it again without"
    for name, value in metadata.items():
        if not isinstance(value, str):
            shown = printable(json.dumps(value), 60)
            return (
                f"{path}: its metadata '{printable(name, 60)}' is {shown}, and texts alone are "
                f'allowed: save it again with "{shown}" in quotes'
            )
    return None


def _refuse_others(path: Path) -> None:
    if kind := kind_of(path):
        raise AdapterFileError(f"{path} is {kind}; a safetensors file is needed")
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise AdapterFileError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:  # a NUL in the name
        raise AdapterFileError(f"{str(path)!r} is no file name") from None
    is_json = start[8:9] == b"{"  # the length before a header may look like a pickle's start
    if not is_json and (start[:2] == b"PK" or start[:1] == b"\x80"):
        raise AdapterFileError(
            f"{path} is a pickle, which may run code when opened; convert it to safetensors"
        )
