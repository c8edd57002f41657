"""LoHa: ΔW = alpha/dim · (w1a·w1b) ⊙ (w2a·w2b), of rank up to dim²."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lycoris_bench.adapters.algorithms import dora
from lycoris_bench.adapters.algorithms.base import (
    Bias,
    Generator,
    Span,
    Tensors,
    fit,
    is_kernel,
    kaiming,
    normal,
    rank_of,
    scale,
    zeros,
)
from lycoris_bench.adapters.algorithms.dora import MAGNITUDE, Decomposable, decompose, magnitude
from lycoris_bench.adapters.algorithms.factors import (
    Product,
    khatri_rao,
    mixed,
    norm,
)
from lycoris_bench.adapters.algorithms.fitting import divided, product, rank_shown, same, tucker
from lycoris_bench.adapters.algorithms.options import (
    ALPHA,
    RANK,
    Decomposed,
    Factored,
    Tucker,
    option,
)
from lycoris_bench.adapters.algorithms.peft import alpha_of, as_lycoris
from lycoris_bench.adapters.algorithms.peft import as_they_are as peft_names
from lycoris_bench.adapters.algorithms.terms import MOST_RANK, Term
from lycoris_bench.messages.errors import BenchError

ROWS = 256  # of ΔW that are made at a time, where its length alone is asked for
MARKS = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
CORES = ("hada_t1", "hada_t2")


class LoHa(Decomposable):
    """ΔW = alpha/dim · (w1a·w1b) ⊙ (w2a·w2b), with W unrolled to (o, i·k²) (LyCORIS, 3.2).

    The a are (o, dim), the b (dim, i·k²), also for convolutions; w2a is zero at the start. In
    Tucker form each half of a kernel is t (dim, dim, k, k) between a (dim, o), which is the
    other way round, and b (dim, i)."""

    marks = MARKS
    names = frozenset((*MARKS, *CORES, MAGNITUDE, "alpha"))
    linear = frozenset(("hada_w1_a",))
    variants = ("hada_t1", MAGNITUDE)
    unrolled = True
    peft = "LOHA"
    spellings = peft_names(*MARKS, *CORES)

    @dataclass(frozen=True, kw_only=True)
    class Options(Decomposed, Tucker, Factored):
        """Those of all factored algorithms."""

        dim: int = option(4, RANK)
        alpha: float | None = option(2, ALPHA)

    def build(self, weight: Tensor, bias: Bias, generator: Generator, options: Options) -> None:
        rank, ratio = rank_of(weight, options)
        random = options.use_scalar
        tucker = options.use_tucker and is_kernel(weight)
        left = (rank, len(weight)) if tucker else (len(weight), rank)
        right = (rank, weight.shape[1] if tucker else weight[0].numel())
        core = (rank, rank, *weight.shape[2:])
        self.register_buffer("alpha", ratio, persistent=False)
        self.t1 = normal(weight, generator, 0.1, *core) if tucker else None
        self.w1a = normal(weight, generator, 0.1, *left)
        self.w1b = normal(weight, generator, 1.0, *right)
        self.t2 = normal(weight, generator, 0.1, *core) if tucker else None
        self.w2a = kaiming(weight, generator, *left) if random else zeros(weight, *left)
        self.w2b = normal(weight, generator, 1.0, *right)
        self.scalar = zeros(weight) if random else None
        self.magnitude = magnitude(weight, options)

    @property
    def factor_rank(self) -> int:
        return len(self.w1b) ** 2 if self.magnitude is None else 0

    def as_factors(self) -> Product:
        up, down, _ = self.factors_of(self.tensors())
        return Product(self.strength * up if self.strength != 1 else up, down)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        rank = {"dim": 3, "alpha": 2}
        tucker = {**rank, "use_tucker": True}
        return [
            rank,
            {**tucker, "rs_lora": True},
            {**tucker, "use_scalar": True, "dora_wd": True},
            {**rank, "dora_wd": True, "wd_on_output": True, "use_scalar": True},
        ]

    def tensors(self) -> dict[str, Tensor]:
        tensors = {
            "hada_t1": self.t1,
            "hada_w1_a": self.w1a if self.scalar is None else self.w1a * self.scalar,
            "hada_w1_b": self.w1b,
            "hada_t2": self.t2,
            "hada_w2_a": self.w2a,
            "hada_w2_b": self.w2b,
            MAGNITUDE: self.magnitude,
        }
        return {k: v for k, v in {**tensors, "alpha": self.alpha}.items() if v is not None}

    @staticmethod
    def delta_from(tensors: Tensors, weight: Tensor) -> Tensor:
        (w1a, w1b), (w2a, w2b) = (half(tensors, k) for k in (1, 2))
        ratio = scale(tensors, rank=len(tensors["hada_w1_b"]))
        change: Tensor = Hadamard.apply(ratio * w1a, w1b, w2a, w2b)
        return decompose(fit(change, weight), tensors, weight)

    @staticmethod
    def weight_shape(tensors: Tensors) -> torch.Size | None:
        first, second = (_shape(tensors, k) for k in (1, 2))
        return dora.with_magnitude(tensors, same(tensors, first, second, *MARKS), unrolled=True)

    @staticmethod
    def rank(tensors: Tensors) -> int | None:
        return rank_shown(tensors, "hada_w1_b")

    @staticmethod
    def factors_of(tensors: Tensors) -> Product:
        up, down, _ = khatri_rao(*half(tensors, 1), *half(tensors, 2))
        return Product(up * scale(tensors, len(tensors["hada_w1_b"])), down)

    @classmethod
    def term_of_factors(cls, tensors: Tensors) -> Term | None:
        small = len(tensors["hada_w1_b"]) * len(tensors["hada_w2_b"]) <= MOST_RANK
        return super().term_of_factors(tensors) if small else None

    @staticmethod
    def length_of_factors(tensors: Tensors) -> float:
        """Some rows at a time: the product's own rank is that of both halves together, which is
        often more than its sizes."""
        (a1, b1), (a2, b2) = (half(tensors, k) for k in (1, 2))
        rows = zip(a1.split(ROWS), a2.split(ROWS), strict=True)
        ratio = float(scale(tensors, len(tensors["hada_w1_b"])))
        return ratio * math.hypot(*(norm((left @ b1) * (right @ b2)) for left, right in rows))

    @classmethod
    def rows(cls, tensors: Tensors, spans: Sequence[Span]) -> dict[str, Tensor]:
        cores = tensors.keys() & set(CORES)
        if len(cores) == 1:
            raise BenchError("a LoHa with one half in Tucker form")
        axis = int(bool(cores))  # Tucker's are the other way round
        factors = divided(tensors, spans, "hada_w1_a", "hada_w2_a", axis=axis)
        return factors | dora.divided_magnitude(tensors, spans)

    @classmethod
    def to_peft(cls, layers: Mapping[str, Tensors]) -> tuple[dict[str, Any], dict[str, Tensor]]:
        ranks = {path: len(tensors["hada_w1_b"]) for path, tensors in layers.items()}
        alphas = {path: alpha_of(tensors, ranks[path]) for path, tensors in layers.items()}
        return as_lycoris(layers, ranks, alphas, "hada_t1")

    def shrink(self, ratio: Tensor) -> None:
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
        of_first = (first @ w1b.mT, w1a.mT @ first)
        second = grad * (w1a @ w1b)
        return *of_first, second @ w2b.mT, w2a.mT @ second


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
