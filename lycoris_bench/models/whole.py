"""Tells whole models from adapters, without loading either."""

import json
from pathlib import Path

from lycoris_bench.models.pipeline_folder import DENOISERS
from lycoris_bench.models.single_file import FIRST

MOST = 100_000_000  # bytes of a header, as the format allows


def is_model(path: str | Path) -> bool:
    """Whether a folder or a .safetensors file holds a whole base model: a pipeline's folder, or a
    single file with CompVis's names. False for what cannot be read, which its reader reports."""
    place = Path(path)
    if place.is_dir():
        return any((place / part).is_dir() for part in DENOISERS)
    return FIRST in _names(place)


def _names(file: Path) -> list[str]:
    """The names of a file's tensors, from its header alone."""
    try:
        with file.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            header = json.loads(handle.read(length)) if length <= MOST else {}
    except (OSError, ValueError, RecursionError):
        return []
    return list(header) if isinstance(header, dict) else []
