"""PEFT's folders: a configuration and a file of tensors for each model that is adapted."""

import json
from pathlib import Path

from torch import Tensor

from lycoris_bench.adapters.errors import AdapterFileError
from lycoris_bench.adapters.names import DENOISERS, TEXTS
from lycoris_bench.adapters.peft_config import FOLDER
from lycoris_bench.adapters.safetensors_file import open_file
from lycoris_bench.disk import FileError, read_json

CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"


def read(folder: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, metadata) of a PEFT folder, or of one that holds such folders by model kind
    (`unet/`, `text_encoder/`, ...); the configurations are among the metadata.

    Raises `AdapterFileError` for a folder that is neither."""
    kinds = (*DENOISERS, *TEXTS)
    if (folder / CONFIG).exists():
        named = {folder.name if folder.name in kinds else "": folder}
    else:
        named = {kind: folder / kind for kind in kinds if (folder / kind / CONFIG).exists()}
    if not named:
        raise AdapterFileError(f"{folder} is a folder without {CONFIG}: give a PEFT folder or a "
                               ".safetensors file")  # fmt: skip
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    configs: dict[str, object] = {}
    for kind, place in named.items():
        start = f"{kind}." if kind else ""
        configs |= {start + key: value for key, value in _config(place / CONFIG).items()}
        found, about = _part(place)
        tensors |= {start + name: value for name, value in found.items()}
        metadata |= about
    return tensors, {**metadata, FOLDER: json.dumps(configs, sort_keys=True)}


def _part(place: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not (place / WEIGHTS).exists() and (place / PICKLE).exists():
        raise AdapterFileError(f"{place / PICKLE} is a pickle, which may run code when opened; "
                               "save it again with safe_serialization=True")  # fmt: skip
    return open_file(place / WEIGHTS)


def _config(path: Path) -> dict[str, object]:
    try:
        found = read_json(path)
    except FileError as error:
        raise AdapterFileError(str(error)) from None
    if not isinstance(found, dict):
        raise AdapterFileError(f"{path} is not a JSON object")
    return found
