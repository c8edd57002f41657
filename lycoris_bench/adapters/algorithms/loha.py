"""LoHa: ΔW = alpha/dim · (w1a·w1b) ⊙ (w2a·w2b), of rank up to dim²."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lycoris_bench.adapters.algorithms.base import (
    Adapter,
    Tensors,
    fit,
    is_kernel,
    kaiming,
    normal,
    rank_of,
    scale,
    zeros,
)
from lycoris_bench.adapters.algorithms.dora import MAGNITUDE, decompose, magnitude
from lycoris_bench.adapters.algorithms.factors import mixed
from lycoris_bench.adapters.algorithms.fitting import product, same, tucker
from lycoris_bench.adapters.algorithms.options import DECOMPOSED, FACTORED, Switch


class LoHa(Adapter):
    """ΔW = alpha/dim · (w1a·w1b) ⊙ (w2a·w2b), with W unrolled to (o, i·k²) (LyCORIS, 3.2).

    The a are (o, dim), the b (dim, i·k²), also for convolutions; w2a is zero at the start. In
    Tucker form each half of a kernel is t (dim, dim, k, k) between a (dim, o), which is the
    other way round, and b (dim, i)."""

    marks = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
    names = frozenset((*marks, "hada_t1", "hada_t2", MAGNITUDE, "alpha"))
    allowed: ClassVar = {**FACTORED, **DECOMPOSED, "use_tucker": Switch()}
    alpha: Tensor

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None = None,
        generator: torch.Generator | None = None,
        *,
        dim: int = 4,
        alpha: float | None = 2,
        conv_dim: int | None = None,
        conv_alpha: float | None = None,
        rs_lora: bool = False,
        use_scalar: bool = False,
        use_tucker: bool = False,
        dora_wd: bool = False,
        wd_on_output: bool = False,
    ) -> None:
        super().__init__()
        rank, ratio = rank_of(weight, dim, alpha, conv_dim, conv_alpha, rs_lora)
        tucker = use_tucker and is_kernel(weight)
        left = (rank, len(weight)) if tucker else (len(weight), rank)
        right = (rank, weight.shape[1] if tucker else weight[0].numel())
        core = (rank, rank, *weight.shape[2:])
        self.register_buffer("alpha", ratio, persistent=False)
        self.t1 = normal(weight, generator, 0.1, *core) if tucker else None
        self.w1a = normal(weight, generator, 0.1, *left)
        self.w1b = normal(weight, generator, 1.0, *right)
        self.t2 = normal(weight, generator, 0.1, *core) if tucker else None
        self.w2a = kaiming(weight, generator, *left) if use_scalar else zeros(weight, *left)
        self.w2b = normal(weight, generator, 1.0, *right)
        self.scalar = zeros(weight) if use_scalar else None
        self.magnitude = magnitude(weight, wd_on_output) if dora_wd else None

    def tensors(self) -> dict[str, Tensor]:
        found = {
            "hada_t1": self.t1,
            "hada_w1_a": self.w1a if self.scalar is None else self.w1a * self.scalar,
            "hada_w1_b": self.w1b,
            "hada_t2": self.t2,
            "hada_w2_a": self.w2a,
            "hada_w2_b": self.w2b,
            MAGNITUDE: self.magnitude,
        }
        return {k: v for k, v in {**found, "alpha": self.alpha}.items() if v is not None}

    @staticmethod
    def delta_from(tensors: Tensors, weight: Tensor) -> Tensor:
        (w1a, w1b), (w2a, w2b) = (half(tensors, k) for k in (1, 2))
        ratio = scale(tensors, rank=len(tensors["hada_w1_b"]))
        change: Tensor = Hadamard.apply(ratio * w1a, w1b, w2a, w2b)
        return decompose(fit(change, weight), tensors, weight)

    @staticmethod
    def shape_from(tensors: Tensors) -> torch.Size | None:
        one, two = (_shape(tensors, k) for k in (1, 2))
        return same(tensors, one, two, *LoHa.marks)

    def shrink(self, ratio: float) -> None:
        self.w1a.mul_(ratio)


class Hadamard(torch.autograd.Function):
    """(w1a·w1b) ⊙ (w2a·w2b). Only the four factors are kept for the backward pass, which makes
    the two halves anew: kept, they would cost twice the layer's own weight."""

    @staticmethod
    def forward(ctx: Any, w1a: Tensor, w1b: Tensor, w2a: Tensor, w2b: Tensor) -> Tensor:
        ctx.save_for_backward(w1a, w1b, w2a, w2b)
        return (w1a @ w1b) * (w2a @ w2b)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        w1a, w1b, w2a, w2b = ctx.saved_tensors
        first = grad * (w2a @ w2b)  # the gradient of the first half, of the second
        found = (first @ w1b.mT, w1a.mT @ first)
        second = grad * (w1a @ w1b)
        return *found, second @ w2b.mT, w2a.mT @ second


def _shape(tensors: Tensors, k: int) -> torch.Size:
    """Of one half, a matrix but in Tucker form."""
    factors = f"hada_w{k}_a", f"hada_w{k}_b"
    if f"hada_t{k}" in tensors:
        return tucker(tensors, f"hada_t{k}", *factors)
    return torch.Size(product(tensors, *factors))


def half(tensors: Tensors, k: int) -> tuple[Tensor, Tensor]:
    """One half's factors, (o, dim) and (dim, i·k²)."""
    a, b = (tensors[f"hada_w{k}_{side}"].flatten(1) for side in "ab")
    return (a.mT, mixed(tensors[f"hada_t{k}"], b)) if f"hada_t{k}" in tensors else (a, b)
