"""Reads PEFT folders, and from their configurations the ratios and the packing of rotations."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from lycoris_bench.adapters.algorithms.options import number
from lycoris_bench.adapters.formats import peft_options
from lycoris_bench.adapters.formats.layer_names import DENOISERS, TEXTS
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError, open_file
from lycoris_bench.adapters.presets.patterns import PatternError, ends_with, steps_of
from lycoris_bench.files.disk import FileError, read_json
from lycoris_bench.messages.printable import printable

FOLDER = "adapter_config"  # of a folder: our name for its configuration among the metadata
DIFFUSERS = "lora_adapter_metadata"  # of a file: diffusers' name for the same
WRAPPED = "base_model.model."
DEFAULT = 8  # of rank and alpha, where a configuration leaves them out
MOST_STEPS = 2000


def configurations(metadata: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Model kind ("" where none is named) -> its PEFT configuration.

    Raises `AdapterFileError` for a configuration that is no JSON object, and for options with
    which the tensors alone do not say the change (`peft_options`)."""
    by_model: dict[str, dict[str, Any]] = {}
    for source in (FOLDER, DIFFUSERS):
        parts: dict[str, dict[str, Any]] = {}
        for key, value in _object(metadata.get(source, "{}"), source).items():
            model, dot, rest = key.partition(".")
            names_model = bool(dot) and model in (*DENOISERS, *TEXTS)
            parts.setdefault(model if names_model else "", {})[rest if names_model else key] = value
        for model, config in parts.items():
            peft_options.check(config, f"'{source}'{f' of {model}' if model else ''}")
            by_model.setdefault(model, {}).update(config)
    return by_model


def _object(text: str, source: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise AdapterFileError(f"the metadata '{source}' is not a JSON object")
    return value


def of_layer(
    layer: str, configs: Mapping[str, Mapping[str, Any]]
) -> tuple[str, Mapping[str, Any] | None]:
    """(a dotted layer's path in its model, the configuration that it falls under or None)."""
    model, _, rest = layer.partition(".")
    if model not in (*DENOISERS, *TEXTS):
        return layer.removeprefix(WRAPPED), configs.get("")
    return rest.removeprefix(WRAPPED), configs.get(model, configs.get(""))


def ratio(path: str, config: Mapping[str, Any], rank: int | None) -> tuple[float, int]:
    """(alpha, rank) of a layer whose tensors have this rank, None if they show none; the alpha
    is the one that a reader divides by the rank. Without a value it is PEFT's default, 8.

    Raises `AdapterFileError` for values that are no numbers, and a rank other than the tensors'."""
    name = "lora_alpha" if "lora_alpha" in config else "alpha"
    alpha = number(path, name, _pattern(config, "alpha_pattern", path, name))
    if alpha == 0:
        raise AdapterFileError(f"{path}: {name} is 0, so that the adapter changes nothing; "
                               "another number is needed")  # fmt: skip
    stated = number(path, "r", _pattern(config, "rank_pattern", path, "r"))
    if stated < 1 or stated != int(stated):
        raise AdapterFileError(f"{path}: r is {stated:g}; a whole number of 1 or more is allowed")
    if rank is not None and int(stated) != rank:
        default = "" if "r" in config else " which is PEFT's default,"
        raise AdapterFileError(f"{path}: its configuration says r = {stated:g},{default} and its "
                               f"tensors have the rank {rank}")  # fmt: skip
    rank = int(stated) if rank is None else rank
    return (alpha * math.sqrt(rank) if config.get("use_rslora") else alpha), rank


def _pattern(config: Mapping[str, Any], table: str, path: str, otherwise: str) -> Any:
    """The value of the first pattern that matches the end of the path, as in PEFT."""
    patterns = config.get(table) or {}
    if not isinstance(patterns, dict):
        raise AdapterFileError(f"{table} is {printable(repr(patterns), 60)}; an object of names "
                               "and numbers is allowed")  # fmt: skip
    try:
        _few(patterns)
        matching = (value for pattern, value in patterns.items() if ends_with(pattern, path))
        return next(matching, config.get(otherwise, DEFAULT))
    except PatternError as error:
        raise AdapterFileError(f"{table}: {error}") from None


def _few(patterns: Mapping[str, Any]) -> None:
    """Raises `PatternError` where the patterns are so many and long that matching takes long."""
    if (steps := sum(steps_of(pattern) for pattern in patterns)) > MOST_STEPS:
        raise PatternError(f"its patterns are {steps:,} steps long together; up to {MOST_STEPS:,} "
                           "are allowed")  # fmt: skip


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
        part, about = _part(place)
        tensors |= {start + name: value for name, value in part.items()}
        metadata |= about
    return tensors, {**metadata, FOLDER: json.dumps(configs, sort_keys=True)}


def _part(place: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not (place / WEIGHTS).exists() and (place / PICKLE).exists():
        raise AdapterFileError(f"{place / PICKLE} is a pickle, which may run code when opened; "
                               "save it again with safe_serialization=True")  # fmt: skip
    return open_file(place / WEIGHTS)


def _config(path: Path) -> dict[str, object]:
    try:
        config = read_json(path)
    except FileError as error:
        raise AdapterFileError(str(error)) from None
    if not isinstance(config, dict):
        raise AdapterFileError(f"{path} is not a JSON object")
    return config
