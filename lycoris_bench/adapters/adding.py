"""Adds changes to weights by their factors: base + strength · ΔW in the weights' own storage."""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.base import Adapter, Tensors, full_precision
from lycoris_bench.adapters.algorithms.terms import Term
from lycoris_bench.messages.errors import BenchError

BLOCK = 1 << 17  # numbers of a weight that stay in a core's cache between two passes over them
LEAST_ROWS = 64  # of a block: products of fewer rows are slow
AT_ONCE = 1 << 26  # numbers of weights that an accelerator is given in one call


class Sum(NamedTuple):
    """base + strength · ΔW of one layer, to be written into its weight."""

    weight: Tensor
    base: Tensor
    term: Term
    strength: float


class Sums:
    """Sums of many layers, which are written together: those of one shape at a time."""

    def __init__(self) -> None:
        self._groups: dict[tuple[object, ...], list[Sum]] = defaultdict(list)

    def put(self, new: Sum) -> None:
        """Notes a sum."""
        shapes = tuple(factor.shape for factor in new.term.factors)
        place = (new.weight.shape, new.weight.dtype, new.weight.device)
        self._groups[type(new.term), shapes, place, new.strength].append(new)

    @torch.no_grad()
    def write(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Writes all sums; (weight, |strength · ΔW|) of each."""
        for sums in self._groups.values():
            with full_precision(sums[0].weight):
                lengths = _write(sums)
            yield from zip((each.weight for each in sums), lengths, strict=True)


def term_of(kind: type[Adapter], tensors: Tensors, weight: Tensor) -> Term | None:
    """ΔW of one layer by factors in fp32; None where the algorithm has no such form or the weight
    is not stored as a matrix. What does not fit has none either: `delta.changes` says why."""
    exact = any(value.dtype == torch.float64 for value in tensors.values())
    if exact or weight.is_meta or not weight.is_contiguous():
        return None
    try:
        with full_precision(weight):
            term = kind.as_term(
                {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
            )
    except (BenchError, KeyError, RuntimeError, IndexError):
        return None
    fits = term is not None and term.sizes == (len(weight), weight[0].numel())
    return term if fits else None


def _write(sums: list[Sum]) -> list[Tensor]:
    """Writes sums of layers of one shape; |strength · ΔW| of each, on the factors' device."""
    weight, _, term, strength = sums[0]
    stack = term.stack([each.term for each in sums])
    lengths = (abs(strength) * stack.length()).float()  # infinite where fp32 overflows
    if weight.device.type == "cpu":
        for each in sums:
            _by_blocks(each)
    else:
        at_once = max(1, AT_ONCE // weight.numel())
        for start in range(0, len(sums), at_once):
            _together(sums[start : start + at_once])
    return list(lengths.unbind())


def _by_blocks(layer: Sum) -> None:
    """One layer; where it is passed over more than once, by blocks that stay in the cache."""
    weight, base, term, strength = layer
    rows, columns = term.sizes
    exact = weight.dtype == torch.float32
    step = max(LEAST_ROWS, BLOCK // columns) if term.passes > 1 or not exact else rows
    step = max(step // term.step, 1) * term.step
    for start in range(0, rows, step):
        here = slice(start, start + step)
        part = term if step >= rows else term.rows(start, start + step)
        target, kept = weight.view(rows, columns)[here], base.view(rows, columns)[here]
        if exact:
            part.plus(kept, strength, out=target)
        else:
            block = kept.float()
            target.copy_(part.plus(block, strength, out=block))


def _together(sums: list[Sum]) -> None:
    """Layers of one shape by few calls, for a device that takes long to start one."""
    weight, _, term, strength = sums[0]
    total = torch.stack([each.base for each in sums]).float().view(len(sums), *term.sizes)
    stack = term.stack([each.term for each in sums]).to(weight.device)
    stack.plus(total, strength, out=total)
    merged = total.view(len(sums), *weight.shape).unbind()
    torch._foreach_copy_([each.weight for each in sums], list(merged))
