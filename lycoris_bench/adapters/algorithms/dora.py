"""DoRA: a layer's change is split into magnitude and direction, over lora, loha or lokr."""

import torch
from torch import Tensor, nn

from lycoris_bench.adapters.algorithms.base import Tensors
from lycoris_bench.messages.errors import BenchError

MAGNITUDE = "dora_scale"


def magnitude(weight: Tensor, on_output: bool) -> nn.Parameter:
    """|W| along the axis that keeps its magnitude: (o, 1, ...) or (1, i, 1, ...).

    The input axis is what most readers apply exactly, whatever axis a file means; the output
    axis is that of the paper (Liu et al. 2024)."""
    return nn.Parameter(_norm(weight.detach().float(), 0 if on_output else 1))


def decompose(change: Tensor, tensors: Tensors, weight: Tensor) -> Tensor:
    """W' - W with W' = m · (W + ΔW) / |W + ΔW|, where m is `dora_scale`; ΔW where there is none.

    The axis is that of m's shape. Only the whole difference is scaled by strength, so that
    strength 0 gives W. Gradients flow through the norm."""
    if MAGNITUDE not in tensors:
        return change
    wanted = tensors[MAGNITUDE].to(change.dtype)
    axis = _axis(wanted, weight)
    moved = weight.to(change.dtype) + change
    norm = _norm(moved, axis)
    return moved * (wanted.reshape(norm.shape) / norm - 1) + change


def fits(tensors: Tensors, shape: torch.Size, unrolled: bool) -> None:
    """`BenchError` for a magnitude that is neither of the outputs nor of the inputs of a weight
    of this shape, whose columns may be those of a kernel `unrolled`."""
    if MAGNITUDE not in tensors:
        return
    found = tensors[MAGNITUDE].shape
    ones = all(size == 1 for size in found[1:])
    outputs = ones and found[:1] == shape[:1]
    inputs = len(found) > 1 and len(shape) > 1 and found[0] == 1 and found[1] == found.numel()
    if inputs:
        inputs = shape[1] % found[1] == 0 if unrolled else shape[1] == found[1]
    if not (outputs or inputs):
        raise BenchError(f"{MAGNITUDE} of shape {tuple(found)} does not fit a weight of "
                         f"{tuple(shape)}")  # fmt: skip


def _axis(wanted: Tensor, weight: Tensor) -> int:
    """0 for a magnitude of each output, 1 for one of each input."""
    sizes = tuple(wanted.shape)
    if wanted.numel() == weight.shape[0] and all(size == 1 for size in sizes[1:]):
        return 0
    if wanted.dim() > 1 and sizes[0] == 1 and wanted.numel() == sizes[1] == weight.shape[1]:
        return 1
    raise BenchError(f"{MAGNITUDE} of shape {sizes} does not fit a weight of {tuple(weight.shape)}")


def _norm(weight: Tensor, axis: int) -> Tensor:
    """The lengths, never 0. A plain sum adds in pairs: six times as exact as vector_norm is
    over the first axis, where that adds one by one."""
    others = [dim for dim in range(weight.dim()) if dim != axis]
    smallest = torch.finfo(torch.float32).eps ** 2
    return weight.square().sum(others, keepdim=True).clamp_min(smallest).sqrt()
