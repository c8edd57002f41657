"""Checks by shapes whether a layer's tensors fit the model's layer; no value is computed."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from lycoris_bench.adapter_tools.weights_on_disk import Layer, ModelFiles
from lycoris_bench.adapters.algorithms.base import BIAS, Adapter
from lycoris_bench.adapters.algorithms.recognise import description, recognise
from lycoris_bench.adapters.delta import changes, check_bias
from lycoris_bench.messages.errors import BenchError

Tensors = Mapping[str, Tensor]
Form = tuple[str, torch.Size, tuple[int, ...] | None]  # name, shape, and numbers of integers


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
        _computed(tuple((name, *_form(value)) for name, value in tensors.items()), weight, kind)
    shift = kind.bias_from(tensors)
    if shift is not None:
        check_bias(shift.shape, bias)


@lru_cache(2048)  # a model has few layers that differ
def _computed(forms: tuple[Form, ...], weight: torch.Size, kind: type[Adapter]) -> None:
    """BenchError: ΔW by `kind` cannot be computed from tensors of these names, shapes and integers
    for a weight of this shape."""
    tensors = {
        name: torch.empty(shape, device="meta") if whole is None
        else torch.tensor(whole).reshape(shape) for name, shape, whole in forms
    }  # fmt: skip
    changes(tensors, torch.empty(weight, device="meta"))


def _form(value: Tensor) -> tuple[torch.Size, tuple[int, ...] | None]:
    """The shape, and the numbers where they are integers, which may choose what is computed."""
    return value.shape, None if value.is_floating_point() else tuple(value.flatten().tolist())


def _one_shape(shown: Sequence[int], weight: Sequence[int]) -> bool:
    unrolled = len(shown) == 2 and shown[0] == weight[0] and math.prod(shown) == math.prod(weight)
    return unrolled or _without_ones(shown) == _without_ones(weight)


def _without_ones(shape: Sequence[int]) -> list[int]:
    sizes = list(shape)
    while sizes and sizes[-1] == 1:
        sizes.pop()
    return sizes
