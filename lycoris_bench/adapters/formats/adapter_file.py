"""Reads and writes adapter files: safetensors with `ss_*` metadata, in any layout."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.adapters.algorithms.recognise import kinds, recognise
from lycoris_bench.adapters.formats import layouts, peft_read
from lycoris_bench.adapters.formats.checked import check, refuse_doubles
from lycoris_bench.adapters.formats.layer_names import natural
from lycoris_bench.adapters.formats.layouts import canonical, known_names
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError, open_file
from lycoris_bench.adapters.formats.ss_metadata import metadata
from lycoris_bench.files.disk import kind_of
from lycoris_bench.messages.printable import printable

__all__ = ["AdapterFileError", "by_layer", "is_exact", "layout_of", "metadata", "read", "recognise",
           "to_bytes"]  # fmt: skip
LONGEST_NAME = 2000


def is_exact(key: str) -> bool:
    """Whether the tensor of this name, with or without a layer's, is kept in full precision."""
    return f".{key}".endswith(tuple(f".{x}" for kind in kinds().values() for x in kind.exact))


def by_layer(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None, divide: bool = True
) -> dict[str, dict[str, Tensor]]:
    """Layer name -> tensor name -> tensor, from tensors of any layout (`layouts.canonical`), with
    layers in natural order of their names."""
    return _grouped(canonical(tensors, metadata, divide))


def _grouped(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Canonical tensors by layer."""
    layers: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        layer, _, name = key.partition(".")
        layers.setdefault(layer, {})[name] = value
    return {layer: layers[layer] for layer in sorted(layers, key=natural)}


def read(path: str | Path, divide: bool = True) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, metadata) of an adapter: a safetensors file or a PEFT folder, in any layout.

    The tensors are named as `layouts.canonical` says. They are views of the mapped file, so that
    it is never in memory twice. Raises `AdapterFileError`, which says why it is no adapter or
    which tensor is damaged: what is read has factors that fit each other and finite numbers."""
    raw, about = _raw(Path(path))
    try:
        _refuse_long(raw)
        tensors = canonical(raw, about, divide)
        layers = _grouped(tensors)
        recognised = {name: recognise(layer) for name, layer in layers.items()}
        for name, layer in layers.items():
            if (algorithm := recognised[name]) is not None:
                check(name, algorithm[1], layer)
            elif layer.keys() <= known_names():
                raise AdapterFileError(f"{name} has {', '.join(layer)} and no more, which is of "
                                       "no algorithm: one is missing, or one too many")  # fmt: skip
        refuse_doubles(layers)
    except AdapterFileError as error:
        raise AdapterFileError(f"{path}: {error}") from None
    if not any(recognised.values()):
        algorithms = ", ".join(ALGORITHMS.entries())
        first = (f"its first tensor is '{printable(min(raw))}'; one of a plug-in needs its file: "
                 "--plugin FILE" if raw else "it has no tensors")  # fmt: skip
        raise AdapterFileError(f"{path} holds no adapter of {algorithms}: {first}")
    return tensors, about


def _refuse_long(names: Iterable[str]) -> None:
    """AdapterFileError: a name is too long for a layer's, and would take long to match."""
    for name in names:
        if len(name) > LONGEST_NAME:
            raise AdapterFileError(f"'{printable(name, 60)}' is a name of {len(name):,} letters; "
                                   f"up to {LONGEST_NAME:,} are read")  # fmt: skip


def spellings(path: str | Path) -> dict[str, layouts.Spelling]:
    """Layer, as `by_layer` names it -> how the file itself spells it."""
    return layouts.spellings(_raw(Path(path))[0])


def layout_of(source: str | Path | Mapping[str, Tensor]) -> str:
    """The layout of a file, a PEFT folder or tensors as they lie in a file: "kohya", "lycoris",
    "compvis", "comfyui", "diffusers", "peft" or "unknown"."""
    raw = source if isinstance(source, Mapping) else _raw(Path(source))[0]
    return layouts.layout_of(raw)


def _raw(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors under the file's own names, metadata) of a file or of all files of a PEFT folder."""
    if kind_of(path) == "a folder":
        return peft_read.read(path)
    return open_file(path)


def to_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The file: half precision, contiguous, with the hash that tools show as the model's. The
    same tensors and metadata make the same bytes.

    Raises `AdapterFileError` for a number that half precision cannot hold."""
    halves = _unshared({key: _half(key, tensors[key]) for key in sorted(tensors)})
    digest = hashlib.sha256()
    for value in halves.values():
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    about = {**metadata, "sshs_model_hash": f"0x{digest.hexdigest()}"}
    content = save(halves)  # would write metadata in an order that differs from call to call
    header, start = _header(content)
    header = {"__metadata__": dict(sorted(about.items())), **header}
    text = json.dumps(header, separators=(",", ":")).encode()
    padded = text + b" " * (-len(text) % 8)
    return len(padded).to_bytes(8, "little") + padded + content[start:]


def _header(content: bytes) -> tuple[dict[str, Any], int]:
    """The JSON header of a safetensors file, and the offset of its data."""
    start = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:start]), start


def _unshared(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Clones tensors that share memory, which the format forbids: layers divided from one fused
    layer share their factors."""
    seen: set[int] = set()
    for key, value in tensors.items():
        place = value.untyped_storage().data_ptr()
        tensors[key] = value.clone() if place in seen else value
        seen.add(place)
    return tensors


def _half(key: str, value: Tensor) -> Tensor:
    value = value.detach().cpu().contiguous()
    half = value.half() if value.is_floating_point() else value
    if not bool(torch.isfinite(half).all()):
        raise AdapterFileError(f"'{key}' holds a number that a half-precision file cannot hold")
    rounded = value.dim() == 0 and half.to(value.dtype) != value  # a rounded alpha or magnitude
    whole = rounded or is_exact(key)  # would change the whole layer
    return value if whole else half
