"""Names of tensors: renames those of any layout as the algorithms know them, LyCORIS's way. Names
of layers are for `layer_names`.

A key is `<layer>.<tensor>`. Layers keep their own spelling, dots turned into underscores, which
`layer_names.Directory.find` understands; tensors get one name each, shape and ratio."""

import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from torch import Tensor

from lycoris_bench.adapters.algorithms.base import BIAS, Adapter
from lycoris_bench.adapters.algorithms.lora import DOWN, UP
from lycoris_bench.adapters.algorithms.recognise import kinds
from lycoris_bench.adapters.formats.flux_and_sd3 import unfused
from lycoris_bench.adapters.formats.peft_read import configurations
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.adapters.formats.settling import settled
from lycoris_bench.messages.printable import printable

EMBEDDINGS = "bundle_emb."
SIDES = {"down": DOWN, "up": UP}
Split = tuple[str, str]  # layer, tensor
Spellings = list[tuple[re.Pattern[str], str]]


def _processor(key: re.Match[str]) -> Split:
    """diffusers of 2023 kept the four projections of an attention in its processor."""
    layer, name, side = key.groups()
    text = layer.endswith("self_attn")
    if name == "to_out":
        name = "out_proj" if text else "to_out.0"
    elif text and name in ("to_q", "to_k", "to_v"):
        name = f"{name[-1]}_proj"
    return f"{layer}.{name}", SIDES[side]


PROCESSOR = re.compile(r"(.+?)(?:\.processor)?\.(to_\w+?|add_[qkv]_proj)_lora\.(up|down)\.weight")


def canonical(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None, divide: bool = True
) -> dict[str, Tensor]:
    """`<layer>.<tensor>` -> tensor with LyCORIS's names, shapes and ratios; nothing is copied
    that needs no arithmetic, and what is canonical stays as it is.

    Textual embeddings that lie in the file (`bundle_emb`) change no weight: they are left out,
    with a warning. What is several layers of diffusers in one (`fused`) is divided, unless it is
    to keep its name. Raises `AdapterFileError` for what cannot be read and for a tensor under two
    names."""
    configs = configurations(metadata or {})
    tensors = _without_embeddings(tensors)
    layers: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, (layer, name) in _splits(tensors).items():
        if name in layers[layer]:
            raise AdapterFileError(f"'{key}' is there twice: {layer} has {name} already")
        layers[layer][name] = tensors[key]
    layers = {layer: settled(layer, parts, configs) for layer, parts in layers.items()}
    renamed: dict[str, Tensor] = {}
    for layer, parts in (unfused(layers) if divide else layers).items():
        for name, value in parts.items():
            key = f"{layer.replace('.', '_')}.{name}"
            if key in renamed:
                raise AdapterFileError(f"'{key}' is there twice, once of them as {layer}")
            renamed[key] = value
    return renamed


def _without_embeddings(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    names = {key.split(".")[1]: None for key in tensors if key.startswith(EMBEDDINGS)}
    if not names:
        return tensors
    warnings.warn(
        f"textual embeddings are left out, as they change no weight: {printable(', '.join(names))}",
        stacklevel=3,
    )
    return {key: value for key, value in tensors.items() if not key.startswith(EMBEDDINGS)}


def layout_of(keys: Iterable[str]) -> str:
    """The layout of most names of a file: "kohya", "lycoris", "compvis", "comfyui",
    "diffusers" or "peft"; "unknown" for none."""
    counts: dict[str, int] = defaultdict(int)
    for key in keys:
        counts[_layout(key)] += 1
    if "compvis" in counts:  # text encoders have kohya's names beside it
        return "compvis"
    return max(counts, key=lambda layout: counts[layout], default="unknown")


FORMS = [
    (r"(lora|oft)_unet_((in|out)put|middle)_block.*", "compvis"),
    (r"lora_unet_(time_embed|label_emb|out)_\d.*", "compvis"),
    (r"(lora|oft)_(unet|te\d?|transformer)_.*", "kohya"),
    (r"lycoris_.*", "lycoris"),
    (r"(\w+\.)?base_model\.model\..*", "peft"),
    (r"(diffusion_model|text_encoders|clip_[lgh]|t5xxl)\..*", "comfyui"),
    (r"(unet|transformer|text_encoder(_[23])?)\..*", "diffusers"),
    (r".*\.(lora_[AB]|processor|lora)\..*", "diffusers"),
]


def _layout(key: str) -> str:
    return next((name for form, name in FORMS if re.fullmatch(form, key)), "unknown")


def _splits(keys: Iterable[str]) -> dict[str, Split]:
    """Key -> layer and tensor. An unknown tensor goes with the layer whose name it begins with,
    so that a layer is never read without a part of it."""
    keys = list(keys)
    refused = {mark: reason for kind in kinds().values() for mark, reason in kind.refused.items()}
    for key in keys:
        for mark, reason in refused.items():
            if f".{mark}" in key:
                raise AdapterFileError(f"'{key}' is of {reason}")
    algorithms = tuple(kinds().values())
    splits = {key: _split(key, algorithms) for key in keys}
    layers = {split[0] for split in splits.values() if split}
    return {key: split or _stranger(key, layers) for key, split in splits.items()}


@lru_cache(8192)  # the names of a file, which is asked several times
def _split(key: str, algorithms: tuple[type[Adapter], ...]) -> Split | None:
    spellings, names = _expressions(algorithms)
    if match := PROCESSOR.fullmatch(key):
        return _processor(match)
    for form, name in spellings:
        if match := form.fullmatch(key):
            return match[1], name
    if match := names.fullmatch(key):
        return match[1], match[2]
    return None


def _stranger(key: str, layers: set[str]) -> Split:
    """(layer, tensor) of an unknown tensor: the layer is the longest one of the file that its name
    begins with, else all but the last part of the name."""
    parts = key.split(".")
    for end in range(len(parts) - 1, 0, -1):
        if (layer := ".".join(parts[:end])) in layers:
            return layer, ".".join(parts[end:])
    layer, _, name = key.rpartition(".")
    return (layer, name) if layer else (name, "")


def known_names() -> frozenset[str]:
    """Every tensor name of every algorithm; but for (IA)³'s "weight", which ends other names
    too: it goes with the layer of its `on_input`."""
    return frozenset(name for kind in kinds().values() for name in kind.names) - {"weight"} | {
        BIAS,
        "alpha",
    }


@cache
def _expressions(
    algorithms: tuple[type[Adapter], ...],
) -> tuple[Spellings, re.Pattern[str]]:
    """(spellings of other programs with the names that they stand for, the algorithms' own)."""
    spellings = [
        (re.compile(rf"(.+)\.{form}"), name) for kind in algorithms for form, name in kind.spellings
    ]
    names = "|".join(re.escape(name) for name in sorted(known_names(), key=len, reverse=True))
    return spellings, re.compile(rf"(.+?)\.({names})")


@dataclass(frozen=True)
class Spelling:
    """How a file spells a layer: its name with its dots, its layout, and whether its tensors are
    lora_A and lora_B (`sides`), which have no alpha."""

    layer: str
    layout: str
    sides: bool


def spellings(keys: Iterable[str]) -> dict[str, Spelling]:
    """Layer, as `canonical` names it -> how these names of a file spell it."""
    by_layer: dict[str, Spelling] = {}
    for key, (layer, _) in _splits(keys).items():
        before = by_layer.get(name := layer.replace(".", "_"))
        sides = ".lora_A" in key or ".lora_B" in key or (before is not None and before.sides)
        by_layer[name] = Spelling(layer, _layout(key), sides)
    return by_layer
