"""Where a base model's files lie and which weights they are, without loading any of them."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError

PARTS = ("unet", "text_encoder", "vae", "tokenizer", "scheduler")
SDXL = ("text_encoder_2", "tokenizer_2")  # beside the others
PICKLED = (".bin", ".ckpt", ".pt", ".pth", ".msgpack")


class BackboneError(BenchError):
    """The base model cannot be used: one sentence saying why, and what to do."""


def locate(path: str | Path) -> Path:
    """The folder of a pipeline, of a hub id that is in the local cache, or a single file.

    Nothing is downloaded: a study that starts a download by a misspelt name is a surprise.
    Raises `BackboneError` for anything else than a complete pipeline or a .safetensors file."""
    place = disk.expand(path)
    if not place.exists() and re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", str(path)):
        place = _cached(str(path))
    if not place.exists():
        raise BackboneError(f"base model '{path}' does not exist")
    if place.suffix in PICKLED and place.is_file():
        raise BackboneError(
            f"base model '{path}' is a pickle, which may run any code when it is read; "
            "only .safetensors files and pipeline folders are allowed"
        )
    if place.is_file() and place.suffix != ".safetensors":
        raise BackboneError(
            f"base model '{path}' is a file of another kind; a pipeline folder, a hub id or a "
            ".safetensors file is needed"
        )
    missing = [part for part in _parts(place) if not (place / part).is_dir()]
    if place.is_dir() and missing:
        raise BackboneError(
            f"base model '{path}' is no StableDiffusionPipeline folder: "
            f"it has no {', '.join(missing)}"
        )
    return place


def _parts(folder: Path) -> tuple[str, ...]:
    return PARTS + SDXL if any((folder / part).is_dir() for part in SDXL) else PARTS


def _cached(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        raise BackboneError(
            f"base model '{name}' is neither a folder nor in the hub's cache; "
            f"fetch it with 'hf download {name}', or give a folder"
        ) from None


def fingerprint(path: str | Path, parts: Sequence[str] = ()) -> str:
    """16 hex digits for the weights and configurations of a base model, or of some parts of a
    folder: SHA-256 over name, size and content of each file that loading may read. Where they
    lie does not matter, nor how a single file is called."""
    place = locate(path)
    total = hashlib.sha256()
    if place.is_file():
        for file in (place, beside(place)):
            total.update(_content(file).encode() if file.exists() else b"")
        return total.hexdigest()[:16]
    found = _read_by_loading(place, parts or _parts(place))
    for file in sorted(found, key=lambda file: file.relative_to(place).parts):
        total.update(f"{file.relative_to(place).as_posix()}\0{_content(file)}\n".encode())
    return total.hexdigest()[:16]


def weight_files(path: str | Path) -> list[Path]:
    """The files of a base model that hold its weights."""
    place = locate(path)
    found = [place] if place.is_file() else _read_by_loading(place, _parts(place))
    return [file for file in found if file.suffix in (".safetensors", *PICKLED)]


def beside(file: Path) -> Path:
    """The .yaml of the same name that may say what a single file predicts."""
    return file.with_suffix(".yaml")


def _content(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _read_by_loading(folder: Path, parts: Sequence[str]) -> list[Path]:
    """Pickled weights are left out where safetensors lie beside them: those are what is read."""
    found = []
    for part in parts:
        files = [file for file in (folder / part).iterdir() if file.is_file()]
        safe = any(file.suffix == ".safetensors" for file in files)
        found += [
            file
            for file in files
            if not file.name.startswith(".") and not (safe and file.suffix in PICKLED)
        ]
    index = folder / "model_index.json"  # for SDXL it says what guidance leads away from
    return [*found, index] if "text_encoder_2" in parts and index.exists() else found
