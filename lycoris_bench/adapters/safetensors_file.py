"""Opening a safetensors file: the one way in, which never runs what it opens."""

from pathlib import Path

import safetensors
from torch import Tensor

from lycoris_bench.adapters.errors import AdapterFileError


def open_file(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors by name, in order; metadata). The tensors are views of the mapped file.

    Raises `AdapterFileError` for a pickle and for what is no whole safetensors file."""
    _refuse_pickles(path)
    try:
        with safetensors.safe_open(path, "pt") as file:
            # the reader's own order changes
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
            return tensors, dict(file.metadata() or {})
    except (safetensors.SafetensorError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).split("\n")[0]
        raise AdapterFileError(f"{path} is cut off or no safetensors file: {reason}") from None


def _refuse_pickles(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise AdapterFileError(f"{path} cannot be read: {error.strerror}") from None
    is_json = start[8:9] == b"{"  # the length before a header may look like a pickle's start
    if not is_json and (start[:2] == b"PK" or start[:1] == b"\x80"):
        raise AdapterFileError(
            f"{path} is a pickle, which may run code when opened; convert it to safetensors"
        )
