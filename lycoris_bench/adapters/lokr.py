"""LoKr: ΔW = alpha/dim · w1 ⊗ w2, a small left block and a larger right one."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from lycoris_bench.adapters.base import Adapter, Tensors, fit, kaiming, rank_of, scale, zeros
from lycoris_bench.adapters.ranges import LARGEST, RANK, Range, Switch


def factorization(n: int, factor: int) -> tuple[int, int]:
    """(u, v) with u·v = n, u <= v and u the largest divisor of n up to min(factor, √n).

    LyCORIS, Eq. (5); factor -1 means no bound but √n. As in the LyCORIS library, and unlike
    the equation, a factor above √n that divides n is taken as v, so that names and sizes of
    files agree with the ecosystem's (n=4, factor=4 gives (1, 4), not (2, 2))."""
    if factor > 0 and n % factor == 0:
        u = min(factor, n // factor)
    else:
        bound = math.isqrt(n) if factor < 0 else min(factor, math.isqrt(n))
        u = next(u for u in range(bound, 0, -1) if n % u == 0)
    return u, n // u


class LoKr(Adapter):
    """ΔW = alpha/dim · w1 ⊗ w2, with o = u·v and i = u'·v' (LyCORIS, 3.2 and Eq. 5).

    w1 is (u, u') and w2 (v, v'·k²). w2 is a product of rank dim where dim < max(v, v')/2, and
    w1 too with decompose_both and dim < max(u, u')/2. With both whole ("full dimension", as
    with the default dim) there is no rank: the ratio is 1 and alpha is ignored."""

    marks = ("lokr_w1", "lokr_w1_a", "lokr_w2", "lokr_w2_a")
    names = frozenset((*marks, "lokr_w1_b", "lokr_w2_b", "alpha"))
    allowed: ClassVar = {
        **RANK,
        "factor": Range(1, LARGEST, whole=True, also=(-1,)),
        "decompose_both": Switch(),
        "full_matrix": Switch(),
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
        decompose_both: bool = False,
        full_matrix: bool = False,
    ) -> None:
        super().__init__()
        self.check(factor=factor, dim=dim, alpha=alpha, conv_dim=conv_dim, conv_alpha=conv_alpha,
                   decompose_both=decompose_both, full_matrix=full_matrix)  # fmt: skip
        rank, ratio = rank_of(weight, dim, alpha, conv_dim, conv_alpha)
        (u, v), (ui, vi) = (factorization(n, factor) for n in weight.shape[:2])
        kernel = tuple(weight.shape[2:])
        whole1 = full_matrix or not (decompose_both and rank < max(u, ui) / 2)
        whole2 = full_matrix or not rank < max(v, vi) / 2
        if whole1 and whole2:
            ratio = torch.full_like(ratio, rank)  # what the ecosystem's files say here
        self.register_buffer("alpha", ratio, persistent=False)
        self.factors = nn.ParameterDict()
        if whole1:
            self.factors["lokr_w1"] = kaiming(weight, generator, u, ui)
        else:
            self.factors["lokr_w1_a"] = kaiming(weight, generator, u, rank)
            self.factors["lokr_w1_b"] = kaiming(weight, generator, rank, ui)
        if whole2:
            self.factors["lokr_w2"] = zeros(weight, v, vi, *kernel)
        else:
            self.factors["lokr_w2_a"] = kaiming(weight, generator, v, rank)
            self.factors["lokr_w2_b"] = zeros(weight, rank, vi * math.prod(kernel))

    def tensors(self) -> dict[str, Tensor]:
        return {**self.factors, "alpha": self.alpha}

    @staticmethod
    def delta_from(tensors: Tensors, weight: Tensor) -> Tensor:
        w1, w2 = (_block(tensors, f"lokr_w{k}") for k in (1, 2))
        ranks = [len(tensors[name]) for name in ("lokr_w2_b", "lokr_w1_b") if name in tensors]
        ratio = scale(tensors, ranks[0]) if ranks else 1.0
        return fit(torch.kron(ratio * w1, w2), weight)


def _block(tensors: Tensors, name: str) -> Tensor:
    """A block as a matrix, whole or from its two factors."""
    if name in tensors:
        return tensors[name].flatten(1)
    return tensors[f"{name}_a"].flatten(1) @ tensors[f"{name}_b"].flatten(1)
