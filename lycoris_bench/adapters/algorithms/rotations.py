"""Rotations for Diag-OFT and BOFT: the Cayley transform, its bound, and what both share."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lycoris_bench.adapters.algorithms.base import Tensors
from lycoris_bench.adapters.algorithms.options import LARGEST, OptionTable, Range, Switch
from lycoris_bench.messages.errors import BenchError

BLOCKS, RESCALE = "oft_blocks", "rescale"
ROTATION: OptionTable = {
    "dim": Range(1, LARGEST, whole=True),
    "constraint": Range(0, LARGEST),
    "rescaled": Switch(),
}


def turn(blocks: Tensor, constraint: Tensor | None, outputs: int) -> Tensor:
    """R - I = 2·Q·(I - Q)⁻¹ of each block, with Q = B - Bᵀ and R = (I + Q)·(I - Q)⁻¹.

    `blocks` and the result are (..., b, b). A constraint ε above 0 bounds the norm of Q, over
    all blocks together, by ε·outputs. The difference is what is computed, not R: it is exactly
    0 for B = 0, and small rotations keep all their digits."""
    skew = bounded(blocks - blocks.mT, constraint, outputs)
    unit = torch.eye(skew.shape[-1], device=skew.device, dtype=skew.dtype)
    # the two commute; I - Q always has an inverse, so that no check need wait for a device
    return 2 * torch.linalg.solve_ex(unit - skew, skew).result


def bounded(skew: Tensor, constraint: Tensor | None, outputs: int) -> Tensor:
    """Q, or Q·c/|Q| where |Q| is above c = constraint·outputs and c is not 0."""
    if constraint is None:
        return skew
    bound = constraint.to(skew.dtype).reshape(()) * outputs
    limit = torch.where(bound > 0, bound, 1.0)
    ratio = limit / torch.maximum(torch.linalg.vector_norm(skew) + 1e-8, limit)
    return skew * torch.where(bound > 0, ratio, 1.0)


def magnitudes(weight: Tensor) -> nn.Parameter:
    """`rescale`: a factor for each output, 1 at the start."""
    ones = (1 for _ in weight.shape[1:])
    return nn.Parameter(torch.ones(len(weight), *ones, device=weight.device))


def rescale(change: Tensor, tensors: Tensors, weight: Tensor) -> Tensor:
    """s ⊙ (W + ΔW) - W where there is a `rescale` s; else ΔW.

    s - 1 is exact in floating point near 1, so that nothing is lost beside W."""
    if RESCALE not in tensors:
        return change
    factor = tensors[RESCALE]
    if factor.numel() != len(weight):
        raise BenchError(
            f"{RESCALE} of shape {tuple(factor.shape)} does not fit the {len(weight)} outputs "
            f"of a weight of shape {tuple(weight.shape)}"
        )
    factor = factor.reshape(-1, *(1 for _ in weight.shape[1:]))
    return factor * change + (factor - 1) * weight.to(change.dtype)


def refuse_max_norm(algorithm: str, options: Mapping[str, Any]) -> None:
    """`ValueError` for max_norm: the length of ΔW follows the angle, not the parameters."""
    if options.get("max_norm") is not None:
        raise BenchError(
            f"max_norm does not suit {algorithm}, which turns weights; constraint bounds it"
        )
