"""The merged weight: the one definition that drawing, conversion and tests share."""

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.base import Adapter, Tensors, add, full_precision
from lycoris_bench.adapters.algorithms.recognise import recognise
from lycoris_bench.messages.errors import BenchError


def merged_weight(tensors: Tensors, weight: Tensor, strength: float = 1.0) -> Tensor:
    """W' = W + strength · ΔW of one layer, in W's dtype; ΔW is computed in fp32.

    `tensors` are the layer's, under the names of a file without its prefix (`lora_up.weight`,
    `hada_w1_a`, `alpha`, ...), of any dtype. Names and shapes alone decide the algorithm.
    Raises `ValueError` where no algorithm knows them, or where they do not fit W."""
    change, _ = changes(tensors, weight)
    return add(weight, (change, strength))


def merged_bias(tensors: Tensors, bias: Tensor | None, strength: float = 1.0) -> Tensor | None:
    """b' = b + strength · Δb of one layer, in b's dtype; b itself where it is not changed.

    Raises `ValueError` for the change of a bias that the layer does not have."""
    shift = _kind(tensors).bias_from(tensors)
    if shift is None:
        return bias
    if bias is None or bias.shape != shift.shape:
        raise BenchError("it changes a bias that the layer does not have")
    return add(bias, (shift.to(bias.device, torch.float32), strength))


@torch.no_grad()
def changes(
    tensors: Tensors, weight: Tensor, precision: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor | None]:
    """(ΔW, Δb) of one layer on W's device, computed in fp32 or, to measure by, in float64; Δb is
    None where the bias stays."""
    kind = _kind(tensors)
    working = torch.float64 if any(_beyond_fp32(value) for value in tensors.values()) else precision
    found = {
        name: value.to(weight.device, working) if value.is_floating_point() else value
        for name, value in tensors.items()
    }
    try:
        with full_precision(weight):
            change, shift = kind.delta_from(found, weight), kind.bias_from(found)
    except (KeyError, RuntimeError, IndexError) as error:
        missing = f": '{error.args[0]}' is missing" if isinstance(error, KeyError) else ""
        raise BenchError(
            f"{_shapes(tensors)} do not fit a weight of {_shape(weight)}{missing}"
        ) from None
    return change.to(precision), None if shift is None else shift.to(precision)


def _beyond_fp32(value: Tensor) -> bool:
    """Whether fp32 would make an infinity or a zero of numbers whose product it holds."""
    if value.dtype != torch.float64 or not value.numel():
        return False
    exact = value.abs()
    short = exact.float()
    return bool((short.isinf() | ((short == 0) & (exact > 0))).any())


def _kind(tensors: Tensors) -> type[Adapter]:
    known = recognise(tensors)
    if known is None:
        raise BenchError(f"no algorithm has the tensors {_shapes(tensors) or 'of an empty layer'}")
    return known[1]


def _shapes(tensors: Tensors) -> str:
    return ", ".join(f"{name} {_shape(value)}" for name, value in sorted(tensors.items()))


def _shape(value: Tensor) -> tuple[int, ...]:
    return tuple(value.shape)
