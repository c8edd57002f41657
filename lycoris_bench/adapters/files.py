"""Adapter files as the ecosystem writes and reads them: safetensors with `ss_*` metadata."""

import hashlib
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load, save
from torch import Tensor

from lycoris_bench import registry
from lycoris_bench.adapters.base import Adapter
from lycoris_bench.adapters.dora import MAGNITUDE
from lycoris_bench.adapters.norms import NormShift

EXACT = (f".{MAGNITUDE}", ".rescale")  # near |W| and 1, where half precision rounds off ΔW


class AdapterFileError(ValueError):
    """A file that is no adapter, or an adapter that cannot be a file: one sentence."""


def recognise(tensors: Mapping[str, Tensor]) -> tuple[str, type[Adapter]] | None:
    """(algorithm, class) of one layer's tensors, by names and shapes; None if none knows them."""
    for algorithm, kind in {**registry.entries("adapters"), "norm": NormShift}.items():
        if kind.recognises(tensors):
            return algorithm, kind
    return None


def by_layer(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Layer name -> tensor name -> tensor: a file's keys are `<layer>.<tensor>`."""
    layers: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        layer, _, name = key.partition(".")
        layers.setdefault(layer, {})[name] = value
    return layers


def to_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The file: half precision, contiguous, with the hash that tools show as the model's. The
    same tensors and metadata make the same bytes.

    Raises `AdapterFileError` for a number that half precision cannot hold."""
    halves = {key: _half(key, tensors[key]) for key in sorted(tensors)}
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
    """A safetensors file's JSON header, and where its numbers begin."""
    start = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:start]), start


def _half(key: str, value: Tensor) -> Tensor:
    value = value.detach().cpu().contiguous()
    half = value.half() if value.is_floating_point() else value
    if not bool(torch.isfinite(half).all()):
        raise AdapterFileError(f"'{key}' holds a number that a half-precision file cannot hold")
    rounded = value.dim() == 0 and half.to(value.dtype) != value  # a rounded alpha or magnitude
    whole = rounded or key.endswith(EXACT)  # would change the whole layer
    return value if whole else half


def read(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, metadata) of an adapter file; `AdapterFileError` says why it is none."""
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise AdapterFileError(f"{path} cannot be read: {error.strerror}") from None
    is_json = content[8:9] == b"{"  # the length before a header may look like a pickle's start
    if not is_json and (content[:2] == b"PK" or content[:1] == b"\x80"):
        raise AdapterFileError(
            f"{path} is a pickle, which may run code when opened; convert it to safetensors"
        )
    try:
        tensors = dict(sorted(load(content).items()))  # the reader's own order changes
        header, _ = _header(content)
    except (safetensors.SafetensorError, ValueError) as error:
        raise AdapterFileError(f"{path} is cut off or no safetensors file: {error}") from None
    if not any(recognise(found) for found in by_layer(tensors).values()):
        known = ", ".join(registry.entries("adapters"))
        first = f"its first tensor is '{min(tensors)}'" if tensors else "it has no tensors"
        raise AdapterFileError(f"{path} holds no adapter of {known}: {first}")
    return tensors, header.get("__metadata__", {})


def metadata(
    *,
    algorithm: str,
    preset: str,
    options: Mapping[str, Any],
    base_model: str = "",
    base_model_version: str = "sd_v1",
    name: str = "",
    lr: float | None = None,
    seed: int | None = None,
    epoch: int | None = None,
    steps: int | None = None,
    images: int | None = None,
    resolution: tuple[int, int] | None = None,
    optimizer: str = "",
    lr_scheduler: str = "",
    tags: Mapping[str, Mapping[str, int]] | None = None,
) -> dict[str, str]:
    """What trainers of the ecosystem write: `ss_*` strings. What is not given is left out, but
    for the algorithm's options, whose defaults are written as well."""
    parameters = inspect.signature(registry.get("adapters", algorithm)).parameters.values()
    chosen = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY} | dict(options)
    dim, alpha = chosen.pop("dim", None), chosen.pop("alpha", None)
    # a switch that is off is left out: there are readers that take the text "False" for true
    extras = {k: str(v) for k, v in chosen.items() if v is not None and v is not False}
    values = {
        "network_module": "lycoris.kohya",
        "network_dim": dim,
        "network_alpha": alpha,
        "network_args": json.dumps({"algo": algorithm, "preset": preset, **extras}),
        "base_model_version": base_model_version,
        "v2": False,
        "sd_model_name": base_model,
        "output_name": name,
        "learning_rate": lr,
        "unet_lr": lr,
        "text_encoder_lr": lr,
        "seed": seed,
        "epoch": epoch,
        "steps": steps,
        "num_train_images": images,
        "resolution": resolution,
        "optimizer": optimizer,
        "lr_scheduler": lr_scheduler,
        "tag_frequency": None if tags is None else json.dumps(tags),
    }
    return {f"ss_{key}": str(value) for key, value in values.items() if value not in (None, "")}
