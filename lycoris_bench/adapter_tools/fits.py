"""Checks by shapes whether a layer's tensors fit the model's layer; no value is computed."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lycoris_bench.adapter_tools.weights_on_disk import Layer, ModelFiles
from lycoris_bench.adapters.algorithms.base import BIAS
from lycoris_bench.adapters.algorithms.recognise import description, recognise
from lycoris_bench.adapters.delta import changes, check_bias
from lycoris_bench.messages.errors import BenchError

Tensors = Mapping[str, Tensor]


def fits_model(tensors: Tensors, base: ModelFiles, place: Layer) -> None:
    """BenchError: the tensors do not fit the model's layer, which is named.

    The weights of a quantized model may be packed; their shapes are then not checked."""
    if base.is_packed(*place):
        return
    bias = base.shape(*place, "bias") if base.has(*place, "bias") else None
    try:
        fits(tensors, base.shape(*place), bias)
    except BenchError as error:
        raise BenchError(f"{error} ({'.'.join(place)} of {base.root})") from None


def fits(tensors: Tensors, weight: torch.Size, bias: torch.Size | None) -> None:
    """BenchError: the change does not fit a weight and a bias of these shapes. A matrix may stand
    for an unrolled kernel, and 1x1 kernels for a matrix."""
    recognised = recognise(tensors)
    assert recognised is not None
    kind = recognised[1]
    if set(tensors) != {BIAS}:
        if not (kind.vectors if len(weight) == 1 else kind.matrices):
            raise BenchError(f"it is {description(tensors)}, which a weight of shape "
                             f"{tuple(weight)} does not take")  # fmt: skip
        shape = kind.weight_shape(tensors)
        if shape is not None and not _one_shape(shape, weight):
            raise BenchError(f"its change of shape {tuple(shape)} does not fit a weight of shape "
                             f"{tuple(weight)}")  # fmt: skip
        changes(tensors, torch.empty(weight, device="meta"))
    shift = kind.bias_from(tensors)
    if shift is not None:
        check_bias(shift.shape, bias)


def _one_shape(shown: Sequence[int], weight: Sequence[int]) -> bool:
    unrolled = len(shown) == 2 and shown[0] == weight[0] and math.prod(shown) == math.prod(weight)
    return unrolled or _without_ones(shown) == _without_ones(weight)


def _without_ones(shape: Sequence[int]) -> list[int]:
    sizes = list(shape)
    while sizes and sizes[-1] == 1:
        sizes.pop()
    return sizes
