"""Rotations for Diag-OFT and BOFT: the Cayley transform, its bound, and what both share."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lycoris_bench.adapters.algorithms.base import Adapter, Tensors, the_number, zeros
from lycoris_bench.adapters.algorithms.options import LARGEST, RANK, Range, number, option, switch
from lycoris_bench.messages.errors import BenchError

BLOCKS, RESCALE = "oft_blocks", "rescale"
SWAPPED = "otherwise where a layer's scale and shift are swapped"
CAUTION = ("ComfyUI applies the strength of Diag-OFT and BOFT twice: the result is right there at "
           "strength 1 and 0 only (half of the change is missing at 0.5)")  # fmt: skip
MOST_TERMS = 100


@dataclass(frozen=True, kw_only=True)
class Turned:
    """The size of a block, a bound on the angle (0 is none), and a factor for each output."""

    dim: int = option(8, RANK)
    constraint: float = option(0.0, Range(0, LARGEST))
    rescaled: bool = switch()


class Rotation(Adapter):
    """The rows of W are turned by blocks, each the Cayley transform of B - Bᵀ, and scaled by s.

    `oft_blocks` are the B, zero at the start; `alpha` is the constraint over all of them,
    `rescale` s. Strength acts on W' - W as a whole."""

    title: ClassVar[str]  # its name in a study
    exact = frozenset((RESCALE,))
    known_elsewhere = True
    comfyui_caution = CAUTION
    alpha: Tensor

    def start(self, weight: Tensor, options: Turned, *shape: int) -> None:
        """Makes the parameters, with blocks of this shape."""
        alpha = torch.tensor(float(options.constraint))  # asked for its value: not on a GPU
        self.register_buffer("alpha", alpha, persistent=False)
        self.blocks = zeros(weight, *shape)
        self.rescale = magnitudes(weight) if options.rescaled else None

    @classmethod
    def check(cls, **options: Any) -> None:
        super().check(**options)
        if options.get("max_norm") is not None:  # |ΔW| depends on the angle, not on the parameters
            raise BenchError(
                f"max_norm does not suit {cls.title}, which turns weights; constraint bounds it"
            )

    def tensors(self) -> dict[str, Tensor]:
        tensors = {BLOCKS: self.blocks, "alpha": self.alpha}
        return tensors if self.rescale is None else {**tensors, RESCALE: self.rescale}

    @classmethod
    def comfyui_refuses(cls, tensors: Tensors, swapped: bool) -> str | None:
        if float(tensors.get("alpha", torch.tensor(0))):
            return "computes a constrained rotation otherwise"
        return f"computes {cls.title} {SWAPPED}" if swapped else None


def turn(blocks: Tensor, constraint: Tensor | None, outputs: int) -> Tensor:
    """R - I = 2·Q·(I - Q)⁻¹ of each block, with Q = B - Bᵀ and R = (I + Q)·(I - Q)⁻¹.

    `blocks` and the result are (..., b, b). A constraint ε above 0 bounds the norm of Q, over
    all blocks together, by ε·outputs. The difference is what is computed, not R: it is exactly
    0 for B = 0, and small rotations keep all their digits."""
    skew = bounded(blocks - blocks.mT, constraint, outputs)
    unit = torch.eye(skew.shape[-1], device=skew.device, dtype=skew.dtype)
    # the two commute; I - Q always has an inverse, so that no check need wait for a device
    turned: Tensor = 2 * torch.linalg.solve_ex(unit - skew, skew).result
    return turned


def bounded(skew: Tensor, constraint: Tensor | None, outputs: int) -> Tensor:
    """Q, or Q·c/|Q| where |Q| is above c = constraint·outputs and c is not 0."""
    bound = 0.0 if constraint is None else the_number(constraint) * outputs
    if not bound > 0:
        return skew
    length: Tensor = torch.linalg.vector_norm(skew) + 1e-8
    return skew * (bound / length.clamp_min(bound))


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


def unpacked(layer: str, packed: Tensor, config: Mapping[str, Any]) -> Tensor:
    """R (n, b, b) of PEFT's OFT from the upper triangles (n, b(b-1)/2) that its files hold.

    R = (I - Q)(I + Q)⁻¹ with Q skew, or the first terms of the series of (I + Q)(I - Q)⁻¹, which
    is PEFT's default; so R is not quite a rotation, and only R itself says what was trained."""
    size = _block(layer, packed)
    if config.get("block_share"):
        raise BenchError(f"{layer}: an OFT whose blocks are shared is not read; "
                         "merge it with PEFT")  # fmt: skip
    skew = packed.new_zeros(len(packed), size, size, dtype=torch.float32)
    rows, columns = torch.triu_indices(size, size, 1)
    skew[:, rows, columns] = packed.float()
    skew = skew - skew.mT
    if config.get("coft"):
        limit = number(layer, "eps", config.get("eps", 6e-5)) / math.sqrt(len(packed))
        norm = torch.linalg.vector_norm(skew, dim=(1, 2), keepdim=True)
        skew = torch.where(norm <= limit, skew, skew * (limit / norm))
    if not config.get("use_cayley_neumann", True):
        unit = torch.eye(size)
        turned: Tensor = torch.linalg.solve(unit + skew, unit - skew, left=False)
        return turned
    terms = number(layer, "num_cayley_neumann_terms", config.get("num_cayley_neumann_terms", 5))
    if terms not in range(1, MOST_TERMS + 1):
        raise BenchError(f"{layer}: num_cayley_neumann_terms is {terms:g}; a whole number "
                         f"from 1 to {MOST_TERMS} is allowed")  # fmt: skip
    return _series(skew, int(terms))


def _block(layer: str, packed: Tensor) -> int:
    """b of upper triangles (n, b(b-1)/2)."""
    if packed.dim() != 2 or not packed.numel():
        raise BenchError(f"{layer}: 'oft_R.weight' has the shape {tuple(packed.shape)}; "
                         "two sizes are allowed: blocks, numbers of a block")  # fmt: skip
    numbers = packed.shape[1]
    size = (1 + math.isqrt(1 + 8 * numbers)) // 2
    if size * (size - 1) // 2 != numbers:
        raise BenchError(f"{layer}: {numbers} numbers are no block of PEFT's OFT")
    return size


def _series(skew: Tensor, terms: int) -> Tensor:
    """I + 2Q + 2Q² + ...; PEFT counts the last term once where there are more than two, and has
    the same series for three terms as for four."""
    terms = 4 if terms == 3 else terms
    power = torch.eye(skew.shape[-1]).expand_as(skew)
    total = power.clone()
    for term in range(1, terms):
        power = power @ skew
        total += power * (1 if term == terms - 1 > 1 else 2)
    return total
