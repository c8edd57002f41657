"""Any layout's tensors under the LyCORIS names that the algorithms know.

A key is `<layer>.<tensor>`. Layers keep their own spelling, dots turned into underscores, which
`names.Directory.find` understands; tensors get one name each, shape and ratio."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lycoris_bench import registry
from lycoris_bench.adapters.base import BIAS
from lycoris_bench.adapters.dora import MAGNITUDE
from lycoris_bench.adapters.errors import AdapterFileError
from lycoris_bench.adapters.lora import DOWN, UP
from lycoris_bench.adapters.norms import NormShift
from lycoris_bench.adapters.peft_config import configurations, of_layer, ratio, rotations

SIDES = {"A": DOWN, "B": UP, "down": DOWN, "up": UP}
NAMED = r"(?:\.[^.]+)?"  # PEFT may put an adapter's name before the last part
PACKED, OUTPUTS = "oft_R.weight", "lora_magnitude_vector"
Split = tuple[str, str]  # layer, tensor


def _processor(key: re.Match[str]) -> Split:
    """diffusers of 2023 kept the four projections of an attention in its processor."""
    layer, name, side = key.groups()
    text = layer.endswith("self_attn")
    if name == "to_out":
        name = "out_proj" if text else "to_out.0"
    elif text and name in ("to_q", "to_k", "to_v"):
        name = f"{name[-1]}_proj"
    return f"{layer}.{name}", SIDES[side]


SPELLINGS = [
    (rf"(.+)\.lora_([AB]){NAMED}\.weight", lambda key: (key[1], SIDES[key[2]])),
    (rf"(.+)\.lora_B{NAMED}\.bias", lambda key: (key[1], "lora_up.bias")),
    (r"(.+?)(?:\.processor)?\.(to_\w+?|add_[qkv]_proj)_lora\.(up|down)\.weight", _processor),
    (r"(.+)\.(?:lora|lora_linear_layer)\.(up|down)\.weight", lambda key: (key[1], SIDES[key[2]])),
    (rf"(.+)\.lora_magnitude_vector{NAMED}(?:\.weight)?", lambda key: (key[1], OUTPUTS)),
    (rf"(.+)\.((?:hada|lokr)_\w+){NAMED}", lambda key: (key[1], key[2])),
    (rf"(.+)\.oft_R{NAMED}\.weight", lambda key: (key[1], PACKED)),
]
REFUSED = {
    "lora_embedding_": "a LoRA of embeddings, which is not read; train it without the embeddings",
    "boft_R": "PEFT's BOFT, which scales biases as well; merge it with PEFT",
    "ia3_l": "PEFT's (IA)³, which scales biases as well; merge it with PEFT",
}


def canonical(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> dict[str, Tensor]:
    """`<layer>.<tensor>` -> tensor with LyCORIS's names, shapes and ratios; nothing is copied
    that needs no arithmetic, and what is canonical stays as it is.

    Raises `AdapterFileError` for what cannot be read and for a tensor under two names."""
    configs = configurations(metadata or {})
    layers: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, (layer, name) in _splits(tensors).items():
        if name in layers[layer]:
            raise AdapterFileError(f"'{key}' is there twice: {layer} has {name} already")
        layers[layer][name] = tensors[key]
    found: dict[str, Tensor] = {}
    for layer, own in layers.items():
        for name, value in _settled(layer, own, configs).items():
            key = f"{layer.replace('.', '_')}.{name}"
            if key in found:
                raise AdapterFileError(f"'{key}' is there twice, once of them as {layer}")
            found[key] = value
    return found


def layout_of(keys: Iterable[str]) -> str:
    """The layout that most names of a file are of: "kohya", "lycoris", "compvis", "comfyui",
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
    for key in keys:
        for mark, reason in REFUSED.items():
            if f".{mark}" in key:
                raise AdapterFileError(f"'{key}' is of {reason}")
    known = {key: _split(key) for key in keys}
    layers = {split[0] for split in known.values() if split}
    return {key: split or _stranger(key, layers) for key, split in known.items()}


def _split(key: str) -> Split | None:
    for form, meaning in SPELLINGS:
        if match := re.fullmatch(form, key):
            return meaning(match)
    if match := re.fullmatch(rf"(.+?)\.({_names()})", key):
        return match[1], match[2]
    return None


def _stranger(key: str, layers: set[str]) -> Split:
    parts = key.split(".")
    for end in range(len(parts) - 1, 0, -1):
        if (layer := ".".join(parts[:end])) in layers:
            return layer, ".".join(parts[end:])
    return parts[0], ".".join(parts[1:])


@cache
def _names() -> str:
    """Every tensor name of every algorithm, as an expression; but for (IA)³'s "weight", which
    ends other names too: it goes with the layer of its `on_input`."""
    kinds = [*registry.entries("adapters").values(), NormShift]
    names = {name for kind in kinds for name in kind.names} - {"weight"} | {BIAS, "alpha"}
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))


def _settled(
    layer: str, tensors: Mapping[str, Tensor], configs: Mapping[str, Mapping[str, Any]]
) -> dict[str, Tensor]:
    """One layer's tensors with the ratio and the shapes that LyCORIS's names stand for."""
    path, config = of_layer(layer, configs)
    found = dict(tensors)
    if config is not None and "alpha" not in found:
        found |= _ratio(path, found, config)
    if PACKED in found:
        found["oft_in.weight"] = rotations(layer, found.pop(PACKED), config or {})
    if "lora_up.bias" in found and UP in found:
        rank = found[UP].shape[1]
        alpha = found.get("alpha", torch.tensor(float(rank)))
        found[BIAS] = found.pop("lora_up.bias").float() * (float(alpha) / rank)
    if OUTPUTS in found:  # (o,), or (1, o, 1, 1), which elsewhere is a magnitude of inputs
        ones = [1 for _ in found[DOWN].shape[1:]] if DOWN in found else [1]
        found[MAGNITUDE] = found.pop(OUTPUTS).reshape(-1, *ones)
    return found


def _ratio(path: str, found: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    known = ratio(path, config)
    if known is None:
        return {}
    alpha, rank = known
    if "lokr_w1" in found and "lokr_w2" in found:  # others take such a pair at a ratio of 1
        folded = found["lokr_w1"].float() * (alpha / rank)
        return {"lokr_w1": folded, "alpha": torch.tensor(float(rank))}
    return {"alpha": torch.tensor(alpha)}
