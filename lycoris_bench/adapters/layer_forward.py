"""A layer's output with its adapter: by the adapted weight, or in training by two factors beside
the base's output, whichever takes fewer FLOPs."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lycoris_bench.adapters.algorithms.base import Adapter
from lycoris_bench.adapters.algorithms.factors import Product
from lycoris_bench.adapters.presets.layers import weight_and_bias
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.quick.products import linear

MARGIN = 2.0  # of FLOPs, since products with few columns are the slower ones
CONVOLUTIONS = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}  # by the sizes of their input


def forward(layer: nn.Module, adapter: Adapter, x: Tensor) -> Tensor:
    """Computes the layer with the adapted weight and bias. With dropout on the adapter's output
    the layer is computed twice, since the base's output has no dropout."""
    weight, bias = weight_and_bias(layer)
    limits = adapter.limits
    if _has_factors(layer, adapter, x) and fewer(adapter.factor_rank, weight):
        base = _operate(layer, x, weight, bias)
        if limits.skips():
            return base
        return base + F.dropout(_by_factors(layer, x, adapter.as_factors()), limits.dropout)
    new, shifted = adapter(weight, bias)
    if not (adapter.training and limits.dropout) or new is weight:
        return _operate(layer, x, new, shifted)
    base = _operate(layer, x, weight, bias)
    return base + F.dropout(_operate(layer, x, new, shifted) - base, limits.dropout)


def fewer(rank: int, weight: Tensor) -> bool:
    """Whether a step by factors of this rank takes fewer FLOPs than one by the adapted weight.

    For each of the input's rows a step multiplies it, its gradient and the weight's: o·n each.
    Factors leave out the last, as W is frozen, and have three products with (o + n)·rank each."""
    outputs, inputs = len(weight), weight[0].numel()
    return MARGIN * 3 * rank * (outputs + inputs) < outputs * inputs


def _has_factors(layer: nn.Module, adapter: Adapter, x: Tensor) -> bool:
    """Whether a training step's change of the output is up·(down·x), in a precision that x shares
    with them."""
    autocast = torch.is_autocast_enabled("cpu" if x.is_meta else x.device.type)
    return (
        adapter.training
        and adapter.factor_rank > 0
        and not adapter.limits.rank_dropout
        and getattr(layer, "groups", 1) == 1
        and (autocast or x.dtype == torch.float32)
    )


def _by_factors(layer: nn.Module, x: Tensor, factors: Product) -> Tensor:
    """up·(down·x), also for a kernel: down as a kernel, then up as one of size 1."""
    up, down, _ = factors
    if isinstance(layer, nn.Linear):
        return linear(linear(x, down), up)
    assert isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    ones = [1 for _ in layer.weight.shape[2:]]
    inner = layer._conv_forward(x, down.reshape(-1, *layer.weight.shape[1:]), None)
    return CONVOLUTIONS[layer.weight.dim()](inner, up.reshape(*up.shape, *ones))


def _operate(layer: nn.Module, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    match layer:
        case nn.Linear():
            return linear(x, weight, bias)
        case nn.Conv1d() | nn.Conv2d() | nn.Conv3d():
            output: Tensor = layer._conv_forward(x, weight, bias)
            return output
        case nn.LayerNorm():
            return F.layer_norm(x, layer.normalized_shape, weight, bias, layer.eps)
        case nn.GroupNorm():
            return F.group_norm(x, layer.num_groups, weight, bias, layer.eps)
    raise BenchError(f"a {type(layer).__name__} takes no adapter")
