"""Converts one layer's tensors to the ratio and the shapes of LyCORIS's format."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.recognise import kinds
from lycoris_bench.adapters.formats.peft_read import of_layer, ratio
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.messages.errors import BenchError


def settled(
    layer: str, tensors: Mapping[str, Tensor], configs: Mapping[str, Mapping[str, Any]]
) -> dict[str, Tensor]:
    """The tensors of a layer as the algorithms know them; `configs` are PEFT's (`peft_read`).

    Raises `AdapterFileError` where they contradict the configuration."""
    path, config = of_layer(layer, configs)
    result = dict(tensors)
    try:
        if "alpha" in result:
            result["alpha"] = _alpha(layer, result["alpha"])
        elif config is not None:
            result |= _ratio(path, result, config)
        for kind in kinds().values():
            result = kind.settle(layer, result, config)
    except BenchError as error:
        raise AdapterFileError(str(error)) from None
    return result


def _alpha(layer: str, alpha: Tensor) -> Tensor:
    """Alpha as a scalar; some programs write a vector of one value or an integer."""
    if alpha.numel() != 1 or alpha.dtype in (torch.bool, torch.complex64, torch.complex128):
        raise AdapterFileError(
            f"'{layer}.alpha' has the shape {tuple(alpha.shape)} and the dtype "
            f"{str(alpha.dtype).removeprefix('torch.')}; one number is allowed"
        )
    if alpha.dim() == 0 and alpha.is_floating_point():
        return alpha  # the very tensor
    return alpha.reshape(()).to(alpha.dtype if alpha.is_floating_point() else torch.float32)


def _ratio(
    path: str, tensors: Mapping[str, Tensor], config: Mapping[str, Any]
) -> dict[str, Tensor]:
    for kind in kinds().values():
        if kind.peft and kind.scaled and tensors.keys() & set(kind.marks):
            rank = kind.rank(tensors)
            if rank is not None or kind.unused(tensors):
                return kind.with_ratio(tensors, *ratio(path, config, rank))
    return {}
