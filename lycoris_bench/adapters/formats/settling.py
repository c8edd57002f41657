"""One layer's tensors with the ratio and the shapes that LyCORIS's names stand for."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.base import BIAS
from lycoris_bench.adapters.algorithms.diag_oft import ON_INPUT, ONE_TRAINER
from lycoris_bench.adapters.algorithms.dora import MAGNITUDE
from lycoris_bench.adapters.algorithms.lora import DOWN, UP
from lycoris_bench.adapters.formats.peft_read import of_layer, ratio, rotations
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError

PACKED, SCALED = "oft_R.weight", "oft_R.scaled_oft"
OUTPUTS, UP_BIAS = "lora_magnitude_vector", "lora_up.bias"
RANKED = (DOWN, "hada_w1_b", "lokr_w2_b", "lokr_w1_b")  # their first size is the rank


def settled(
    layer: str, tensors: Mapping[str, Tensor], configs: Mapping[str, Mapping[str, Any]]
) -> dict[str, Tensor]:
    """The tensors of a layer as the algorithms know them; `configs` are PEFT's (`peft_config`).

    Raises `AdapterFileError` where they contradict the configuration."""
    path, config = of_layer(layer, configs)
    found = dict(tensors)
    if "alpha" in found:
        found["alpha"] = _alpha(layer, found["alpha"])
    elif config is not None:
        found |= _ratio(path, found, config)
    if PACKED in found:
        found |= _rotations(layer, found, config)
    if UP_BIAS in found and found.get(UP, torch.empty(0)).dim() > 1:
        rank = found[UP].shape[1]
        alpha = found.get("alpha", torch.tensor(float(rank)))
        found[BIAS] = found.pop(UP_BIAS).float() * (float(alpha) / rank if rank else 1)
    if OUTPUTS in found:  # (o,), or (1, o, 1, 1), which elsewhere is a magnitude of inputs
        ones = [1 for _ in found[DOWN].shape[1:]] if DOWN in found else [1]
        found[MAGNITUDE] = found.pop(OUTPUTS).reshape(-1, *ones)
    if config is not None and config.get("use_dora") and DOWN in found and MAGNITUDE not in found:
        raise AdapterFileError(f"{layer}: its configuration has use_dora, and '{OUTPUTS}' is "
                               "missing")  # fmt: skip
    return found


def _alpha(layer: str, alpha: Tensor) -> Tensor:
    """One number, which some programs write as a vector of one or as an integer."""
    if alpha.numel() != 1 or alpha.dtype in (torch.bool, torch.complex64, torch.complex128):
        raise AdapterFileError(
            f"'{layer}.alpha' has the shape {tuple(alpha.shape)} and the dtype "
            f"{str(alpha.dtype).removeprefix('torch.')}; one number is allowed"
        )
    if alpha.dim() == 0 and alpha.is_floating_point():
        return alpha  # the very tensor
    return alpha.reshape(()).to(alpha.dtype if alpha.is_floating_point() else torch.float32)


def _ratio(path: str, found: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    whole = "lokr_w1" in found and "lokr_w2" in found
    shown = next((found[name] for name in RANKED if name in found), None)
    if shown is None and not whole:
        return {}
    alpha, rank = ratio(path, config, len(shown) if shown is not None and shown.dim() else None)
    if whole:  # others take such a pair at a ratio of 1
        folded = found["lokr_w1"].float() * (alpha / rank)
        return {"lokr_w1": folded, "alpha": torch.tensor(float(rank))}
    return {"alpha": torch.tensor(alpha)}


def _rotations(
    layer: str, found: dict[str, Tensor], config: Mapping[str, Any] | None
) -> dict[str, Tensor]:
    """R of an OFT that PEFT or OneTrainer packed.

    OneTrainer writes kohya's names, and no configuration: it turns kernels by R where PEFT turns
    them by Rᵀ, and with `scaled_oft` its numbers count 1/√(numbers of a block)."""
    packed, scaled = found.pop(PACKED), found.pop(SCALED, None)
    if scaled is not None and packed.dim() == 2 and packed.numel():
        packed = packed.float() / math.sqrt(packed.shape[1])
    made = {ON_INPUT: rotations(layer, packed, config or {})}
    if scaled is not None or (config is None and "." not in layer):
        made[ONE_TRAINER] = torch.tensor(1)
    return made
