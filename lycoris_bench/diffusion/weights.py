"""Where a base model's files lie and which weights they are, without loading any of them."""

import hashlib
import re
from pathlib import Path

PARTS = ("unet", "text_encoder", "vae", "tokenizer", "scheduler")


class BackboneError(ValueError):
    """The base model cannot be used: one sentence saying why, and what to do."""


def locate(path: str | Path) -> Path:
    """The folder of a `StableDiffusionPipeline`, or of a hub id that is in the local cache.

    Nothing is downloaded: a study that starts a download by a misspelt name is a surprise.
    Raises `BackboneError` for anything that is not a complete pipeline folder."""
    folder = Path(path).expanduser()
    if not folder.exists() and re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", str(path)):
        folder = _cached(str(path))
    if not folder.exists():
        raise BackboneError(f"base model '{path}' does not exist")
    if not folder.is_dir():
        raise BackboneError(
            f"base model '{path}' is a file; a StableDiffusionPipeline folder is needed "
            "(StableDiffusionPipeline.from_single_file(...).save_pretrained(...) makes one)"
        )
    missing = [part for part in PARTS if not (folder / part).is_dir()]
    if missing:
        raise BackboneError(
            f"base model '{path}' is no StableDiffusionPipeline folder: "
            f"it has no {', '.join(missing)}"
        )
    return folder


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


def fingerprint(path: str | Path) -> str:
    """16 hex digits for the weights and configurations of a base model: SHA-256 over name, size
    and content of each file that loading may read. Where the folder lies does not matter."""
    folder = locate(path)
    total = hashlib.sha256()
    for file in sorted(_read_by_loading(folder), key=lambda file: file.relative_to(folder).parts):
        with file.open("rb") as handle:
            content = hashlib.file_digest(handle, "sha256").hexdigest()
        total.update(f"{file.relative_to(folder).as_posix()}\0{content}\n".encode())
    return total.hexdigest()[:16]


def _read_by_loading(folder: Path) -> list[Path]:
    """Pickled weights are left out where safetensors lie beside them: those are what is read."""
    found = []
    for part in PARTS:
        files = [file for file in (folder / part).iterdir() if file.is_file()]
        safe = any(file.suffix == ".safetensors" for file in files)
        pickled = (".bin", ".ckpt", ".pt", ".msgpack")
        found += [
            file
            for file in files
            if not file.name.startswith(".") and not (safe and file.suffix in pickled)
        ]
    return found
