"""Checks whether one layer's tensors fit each other, without the weight."""

import math
from collections.abc import Sequence

from torch import Size, Tensor, cat

from lycoris_bench.adapters.algorithms.knowledge import BIAS, Tensors
from lycoris_bench.messages.errors import BenchError


def sizes(tensors: Tensors, name: str, least: int = 2) -> Size:
    """The shape of a tensor. BenchError: it is missing or has too few dimensions."""
    if name not in tensors:
        raise BenchError(f"'{name}' is missing")
    shape = tensors[name].shape
    if len(shape) < least:
        raise BenchError(f"{with_shapes(tensors, name)} has too few sizes; {least} are needed")
    return shape


def with_shapes(tensors: Tensors, *names: str) -> str:
    """Tensor names with their shapes: "lora_up.weight (4, 2) and lora_down.weight (2, 3)"."""
    return " and ".join(f"{name} {tuple(tensors[name].shape)}" for name in names)


def product(tensors: Tensors, left: str, right: str) -> tuple[int, int]:
    """(rows, columns) of left · right, each read as a matrix; `BenchError` where they have no
    rank in common."""
    left_shape, right_shape = sizes(tensors, left), sizes(tensors, right)
    if left_shape[1] != right_shape[0] or math.prod(left_shape[2:]) != 1:
        raise BenchError(f"{with_shapes(tensors, left, right)} have no rank in common")
    return left_shape[0], math.prod(right_shape[1:])


def tucker(tensors: Tensors, core: str, left: str, right: str) -> Size:
    """Shape of the kernel that a core (r, s, k...) makes between left (r, o) and right (s, i)."""
    core_shape = sizes(tensors, core, 3)
    left_shape, right_shape = sizes(tensors, left), sizes(tensors, right)
    if tuple(core_shape[:2]) != (left_shape[0], right_shape[0]):
        raise BenchError(f"{with_shapes(tensors, core, left, right)} have no rank in common")
    return Size((math.prod(left_shape[1:]), math.prod(right_shape[1:]), *core_shape[2:]))


def one_each(tensors: Tensors, name: str, count: int, noun: str) -> None:
    """BenchError: the tensor is there but does not have `count` values."""
    if name not in tensors:
        return
    shape = tensors[name].shape
    if not max(shape, default=1) == math.prod(shape) == count:
        raise BenchError(f"{name} of shape {tuple(shape)} does not fit {count} {noun}")


def same(tensors: Tensors, first: Size, second: Size, *names: str) -> Size:
    """The shape of two parts of a change. BenchError: their shapes differ."""
    if first != second:
        raise BenchError(
            f"{with_shapes(tensors, *names)} are of changes {tuple(first)} and {tuple(second)}; "
            "they must be of one shape"
        )
    return first


def rank_shown(tensors: Tensors, *names: str) -> int | None:
    """The first dimension of the first of these tensors that is there."""
    shape = next((tensors[name].shape for name in names if name in tensors), Size())
    return shape[0] if shape else None


def divided(
    tensors: Tensors, spans: Sequence[tuple[int, int]], *first: str, axis: int = 0, step: int = 1
) -> dict[str, Tensor]:
    """Some outputs' rows of the tensors `first`, which have `step` outputs a row; of a change of
    the bias too. All other tensors are shared."""

    def taken(value: Tensor, axis: int, step: int) -> Tensor:
        parts = [value.narrow(axis, a // step, (b - a) // step) for a, b in spans]
        return cat(parts, dim=axis)

    return {
        key: taken(value, axis, step) if key in first else
        taken(value, 0, 1) if key == BIAS else value
        for key, value in tensors.items()
    }  # fmt: skip
