"""Changes by their factors, which are added to a weight without ΔW being made.

A term is that of one layer, ΔW as a matrix (o, n), or of several layers of one shape, (layers, o,
n): then its factors have one size more, in front."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor

from lycoris_bench.messages.errors import BenchError

MOST_RANK = 32  # above, making ΔW is no more than a part of the time that its product takes


class Term(ABC):
    """ΔW by its factors."""

    passes: ClassVar[int]  # over a weight, in which `plus` reads and writes all of it

    def __init__(self, *factors: Tensor) -> None:
        self.factors = factors

    @property
    @abstractmethod
    def sizes(self) -> tuple[int, int]:
        """(o, n)."""

    @abstractmethod
    def plus(self, base: Tensor, strength: float, out: Tensor) -> Tensor:
        """Sets `out` to base + strength · ΔW, both of ΔW's sizes and precision; they may be one."""

    @abstractmethod
    def rows(self, start: int, end: int) -> Self:
        """The term of some rows of ΔW, from and to multiples of `step`."""

    @property
    def step(self) -> int:
        """Rows of ΔW that cannot be divided."""
        return 1

    @abstractmethod
    def length(self) -> Tensor:
        """|ΔW|, of each layer, in float64 and without ΔW."""

    @classmethod
    def stack(cls, terms: Sequence["Term"]) -> Self:
        """The term of several layers of one shape, from each one's."""
        sides = zip(*(term.factors for term in terms), strict=True)
        return cls(*(torch.stack(side) for side in sides))

    def to(self, device: torch.device) -> Self:
        """The same on another device."""
        return type(self)(*(factor.to(device) for factor in self.factors))


class LowRank(Term):
    """ΔW = up (o, r) · down (r, n)."""

    passes = 2  # a copy of the base, to which the product is added

    def __init__(self, up: Tensor, down: Tensor) -> None:
        if up.shape[-1] != down.shape[-2]:
            raise BenchError("two factors have no rank in common")
        super().__init__(up, down)

    @property
    def sizes(self) -> tuple[int, int]:
        up, down = self.factors
        return up.shape[-2], down.shape[-1]

    def plus(self, base: Tensor, strength: float, out: Tensor) -> Tensor:
        add = torch.addmm if base.dim() == 2 else torch.baddbmm
        return add(base, *self.factors, alpha=strength, out=out)

    def rows(self, start: int, end: int) -> Self:
        up, down = self.factors
        return type(self)(up[start:end], down)

    def length(self) -> Tensor:
        """√tr((upᵀ·up)(down·downᵀ))."""
        up, down = (side.double() for side in self.factors)
        square = ((up.mT @ up) * (down @ down.mT)).sum((-2, -1))
        return square.clamp_min(0).sqrt()


class Kronecker(Term):
    """ΔW = w1 (u, u') ⊗ w2 (v, v'), with o = u·v and n = u'·v'."""

    passes = 1

    @property
    def sizes(self) -> tuple[int, int]:
        (u, ui), (v, vi) = (side.shape[-2:] for side in self.factors)
        return u * v, ui * vi

    def plus(self, base: Tensor, strength: float, out: Tensor) -> Tensor:
        left, right = self.factors
        (u, ui), (v, vi) = (side.shape[-2:] for side in self.factors)
        blocks = (*base.shape[:-2], u, v, ui, vi)
        left, right = left[..., :, None, :, None], right[..., None, :, None, :]
        torch.addcmul(base.view(blocks), left, right, value=strength, out=out.view(blocks))
        return out

    def rows(self, start: int, end: int) -> Self:
        left, right = self.factors
        return type(self)(left[start // self.step : end // self.step], right)

    @property
    def step(self) -> int:
        return self.factors[1].shape[-2]

    def length(self) -> Tensor:
        """|w1| · |w2|."""
        left, right = (
            torch.linalg.vector_norm(side, dim=(-2, -1), dtype=torch.float64)
            for side in self.factors
        )
        product: Tensor = left * right
        return product
