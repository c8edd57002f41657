"""Locates a base model's files, and computes their fingerprint, without loading the model."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from safetensors import SafetensorError

from lycoris_bench.files import disk
from lycoris_bench.models import families, single_file
from lycoris_bench.models.families.base import Family
from lycoris_bench.models.parts import BackboneError

PICKLED = (".bin", ".ckpt", ".pt", ".pth", ".msgpack")


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
    if place.is_dir():
        family = families.of_folder(place)
        missing = [part for part in family.parts if not (place / part).is_dir()]
        if missing:
            raise BackboneError(
                f"base model '{path}' is no complete pipeline folder: "
                f"for {family.name} it has no {', '.join(missing)}"
            )
    return place


def family_of(place: Path) -> Family:
    """The family of a folder or file that `locate` found; `BackboneError` where none is known."""
    if place.is_dir():
        return families.of_folder(place)
    if family := families.of_file(single_file.names(place)):
        return family
    raise BackboneError("it holds no text encoder of a family that is known here")


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
    total = hashlib.sha256(_revision(place).encode())
    if place.is_file():
        for file in (place, single_file.yaml_of(place)):
            total.update(content_of(file).encode() if file.exists() else b"")
        return total.hexdigest()[:16]
    family = families.of_folder(place)
    files = read_by_loading(place, parts or family.parts)
    if not parts:
        files += [place / name for name in family.extra_files if (place / name).exists()]
    for file in sorted(files, key=lambda file: file.relative_to(place).parts):
        total.update(f"{file.relative_to(place).as_posix()}\0{content_of(file)}\n".encode())
    return total.hexdigest()[:16]


def weight_files(path: str | Path) -> list[Path]:
    """The files of a base model that hold its weights."""
    place = locate(path)
    if place.is_file():
        return [place]
    files = read_by_loading(place, families.of_folder(place).parts)
    return [file for file in files if file.suffix in (".safetensors", *PICKLED)]


def _revision(place: Path) -> str:
    """The revision of the family's code; "" for a model that cannot be read: loading reports it."""
    try:
        return family_of(place).revision
    except (BackboneError, SafetensorError):
        return ""


def content_of(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def read_by_loading(folder: Path, parts: Iterable[str]) -> list[Path]:
    """The files that loading reads; pickled weights are ignored where there are safetensors."""
    chosen = []
    for part in parts:
        files = [file for file in (folder / part).iterdir() if file.is_file()]
        safe = any(file.suffix == ".safetensors" for file in files)
        chosen += [
            file
            for file in files
            if not file.name.startswith(".") and not (safe and file.suffix in PICKLED)
        ]
    return chosen
