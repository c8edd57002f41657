"""Tells whole models from adapters, and whole files from those that are being written, by the
headers of safetensors files alone."""

import json
from pathlib import Path
from typing import Any

from lycoris_bench.models import families
from lycoris_bench.models.compvis_config import VAE
from lycoris_bench.models.partial import is_denoiser
from lycoris_bench.models.pipeline_folder import DENOISERS
from lycoris_bench.models.single_file import FIRST

PEFT = "adapter_config.json"  # of a folder with an adapter, or of a part of a model with one
MOST = 100_000_000  # bytes of a header, as the format allows
LENGTH = 8  # bytes of the number before the header


def is_model(path: str | Path) -> bool:
    """Whether a folder or a .safetensors file holds a whole base model: a pipeline's folder, which
    may lack all but the denoiser or be that itself (models/partial.py), or a single file with
    CompVis's names. False for what cannot be read, which its reader reports."""
    place = Path(path)
    if place.is_dir():
        if is_denoiser(place) and not (place / PEFT).is_file():
            return True
        parts = [place / part for part in DENOISERS if (place / part).is_dir()]
        return bool(parts) and not any((part / PEFT).is_file() for part in parts)
    return FIRST in _header(place)[1]


def lacking_in_file(names: set[str]) -> list[str]:
    """What a model in one file lacks beside its U-Net, by the names of its tensors."""
    text = families.of_file(sorted(names)) is not None
    vae = any(name.startswith(VAE) for name in names)
    return [what for what, there in (("a text encoder that is known here", text), ("a VAE", vae))
            if not there]  # fmt: skip


def length_fits(file: Path) -> bool:
    """Whether a safetensors file is as long as its header says."""
    length, header = _header(file)
    ends = [
        about["data_offsets"][1]
        for name, about in header.items()
        if name != "__metadata__" and isinstance(about, dict) and "data_offsets" in about
    ]
    try:
        return bool(header) and file.stat().st_size == LENGTH + length + max(ends, default=0)
    except (OSError, TypeError):
        return False


def names_in(file: Path) -> set[str]:
    """The names of a file's tensors, by its header; none where it cannot be read."""
    return {*_header(file)[1]} - {"__metadata__"}


def _header(file: Path) -> tuple[int, dict[str, Any]]:
    """The length of a file's header, and the header; empty where it cannot be read."""
    try:
        with file.open("rb") as handle:
            length = int.from_bytes(handle.read(LENGTH), "little")
            header = json.loads(handle.read(length)) if length <= MOST else {}
    except (OSError, ValueError, RecursionError):
        return 0, {}
    return (length, header) if isinstance(header, dict) else (0, {})
