"""LoKr: ΔW = alpha/dim · w1 ⊗ w2, a small left block and a larger right one."""

import math
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from lycoris_bench.adapters.algorithms.base import (
    Adapter,
    Tensors,
    fit,
    is_kernel,
    kaiming,
    rank_of,
    scale,
    zeros,
)
from lycoris_bench.adapters.algorithms.dora import MAGNITUDE, decompose, magnitude
from lycoris_bench.adapters.algorithms.factors import factorization, mixed
from lycoris_bench.adapters.algorithms.fitting import product, said, sizes, tucker
from lycoris_bench.adapters.algorithms.options import DECOMPOSED, FACTORED, LARGEST, Range, Switch
from lycoris_bench.messages.errors import BenchError

WHOLE, PARTS = ("lokr_w1", "lokr_w2"), ("lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b")


class LoKr(Adapter):
    """ΔW = alpha/dim · w1 ⊗ w2, with o = u·v and i = u'·v' (LyCORIS, 3.2 and Eq. 5).

    w1 is (u, u') and w2 (v, v'·k²). w2 is a product of rank dim where dim < max(v, v')/2, and
    w1 too with decompose_both and dim < max(u, u')/2. With both whole ("full dimension", as
    with the default dim) there is no rank: the ratio is 1 and alpha is ignored. In Tucker form
    a product for a kernel is t2 (dim, dim, k, k) between w2_a (dim, v) and w2_b (dim, v').
    unbalanced_factorization swaps u and v: the larger part of o goes to w1."""

    marks = ("lokr_w1", "lokr_w1_a", "lokr_w2", "lokr_w2_a")
    names = frozenset((*WHOLE, *PARTS, "lokr_t2", MAGNITUDE, "alpha"))
    allowed: ClassVar = {
        **FACTORED,
        **DECOMPOSED,
        "factor": Range(1, LARGEST, whole=True, also=(-1,)),
        "use_tucker": Switch(),
        "decompose_both": Switch(),
        "full_matrix": Switch(),
        "unbalanced_factorization": Switch(),
    }
    alpha: Tensor

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None = None,
        generator: torch.Generator | None = None,
        *,
        factor: int = 8,
        dim: int = 10000,
        alpha: float | None = 1.0,
        conv_dim: int | None = None,
        conv_alpha: float | None = None,
        rs_lora: bool = False,
        use_scalar: bool = False,
        use_tucker: bool = False,
        decompose_both: bool = False,
        full_matrix: bool = False,
        unbalanced_factorization: bool = False,
        dora_wd: bool = False,
        wd_on_output: bool = False,
    ) -> None:
        super().__init__()
        rank, ratio = rank_of(weight, dim, alpha, conv_dim, conv_alpha, rs_lora)
        (u, v), (ui, vi) = (factorization(n, factor) for n in weight.shape[:2])
        u, v = (v, u) if unbalanced_factorization else (u, v)
        kernel = tuple(weight.shape[2:])
        whole1 = full_matrix or not (decompose_both and rank < max(u, ui) / 2)
        whole2 = full_matrix or not rank < max(v, vi) / 2
        if whole1 and whole2:
            ratio = torch.full_like(ratio, rank)  # what the ecosystem's files say here
        self.register_buffer("alpha", ratio, persistent=False)
        random = partial(kaiming, weight, generator)
        last = random if use_scalar else partial(zeros, weight)
        self.factors = nn.ParameterDict()
        if whole1:
            self.factors["lokr_w1"] = random(u, ui)
        else:
            self.factors["lokr_w1_a"] = random(u, rank)
            self.factors["lokr_w1_b"] = random(rank, ui)
        if whole2:
            self.factors["lokr_w2"] = last(v, vi, *kernel)
        elif use_tucker and is_kernel(weight):
            self.factors["lokr_t2"] = random(rank, rank, *kernel)
            self.factors["lokr_w2_a"] = random(rank, v)
            self.factors["lokr_w2_b"] = last(rank, vi)
        else:
            self.factors["lokr_w2_a"] = random(v, rank)
            self.factors["lokr_w2_b"] = last(rank, vi * math.prod(kernel))
        self.scalar = zeros(weight) if use_scalar else None
        self.magnitude = magnitude(weight, wd_on_output) if dora_wd else None

    def tensors(self) -> dict[str, Tensor]:
        found = {**self.factors, "alpha": self.alpha}
        if self.scalar is not None:
            found[self._first] = found[self._first] * self.scalar
        return found if self.magnitude is None else {**found, MAGNITUDE: self.magnitude}

    @property
    def _first(self) -> str:
        return "lokr_w1" if "lokr_w1" in self.factors else "lokr_w1_a"

    @staticmethod
    def delta_from(tensors: Tensors, weight: Tensor) -> Tensor:
        w1, w2 = (_block(tensors, k) for k in (1, 2))
        ranks = [len(tensors[name]) for name in ("lokr_w2_b", "lokr_w1_b") if name in tensors]
        ratio = scale(tensors, ranks[0]) if ranks else 1.0
        return decompose(fit(torch.kron(ratio * w1, w2), weight), tensors, weight)

    @staticmethod
    def shape_from(tensors: Tensors) -> torch.Size | None:
        (u, ui, *rest), (v, vi, *kernel) = (_shape(tensors, k) for k in (1, 2))
        if math.prod(rest) != 1:
            raise BenchError(f"{said(tensors, 'lokr_w1')} is no matrix")
        return torch.Size((u * v, ui * vi, *kernel))

    def shrink(self, ratio: float) -> None:
        self.factors[self._first].mul_(ratio)


def _names(tensors: Tensors, k: int) -> tuple[str, tuple[str, str, str]]:
    """A block's name, and those of its factors; a block is either whole or a product."""
    name = f"lokr_w{k}"
    factors = (f"{name}_a", f"{name}_b", f"lokr_t{k}")
    if name in tensors and (beside := [factor for factor in factors if factor in tensors]):
        raise BenchError(f"{name} and {beside[0]} of one layer contradict each other")
    return name, factors


def _shape(tensors: Tensors, k: int) -> torch.Size:
    """Sizes of a block, whole or from its factors."""
    name, (a, b, core) = _names(tensors, k)
    if name in tensors or not {a, b, core} & tensors.keys():
        return sizes(tensors, name)
    if core in tensors:
        return tucker(tensors, core, a, b)
    return torch.Size(product(tensors, a, b))


def factors(tensors: Tensors, k: int) -> tuple[Tensor, ...]:
    """A block as a matrix, whole or as the two that it is the product of."""
    name, (first, second, core) = _names(tensors, k)
    if name in tensors:
        return (tensors[name].flatten(1),)
    a, b = tensors[first].flatten(1), tensors[second].flatten(1)
    return (a.mT, mixed(tensors[core], b)) if core in tensors else (a, b)


def _block(tensors: Tensors, k: int) -> Tensor:
    left, *right = factors(tensors, k)
    return left @ right[0] if right else left
