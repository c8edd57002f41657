"""Approximates a change by products up · down of low rank, from its SVD."""

from typing import NamedTuple

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.factors import ROUNDING, Product
from lycoris_bench.adapters.algorithms.options import LARGEST, Range
from lycoris_bench.adapters.formats import write
from lycoris_bench.messages.errors import BenchError


class Svd(NamedTuple):
    """U (o, n), singular values (n,) from the largest on, Vᵀ (n, i·k²), in float64."""

    u: Tensor
    s: Tensor
    vh: Tensor

    def cut(self, rank: int) -> "Svd":
        """The SVD cut to its first `rank` singular values."""
        return Svd(self.u[:, :rank], self.s[:rank], self.vh[:rank])

    @property
    def matrix(self) -> Tensor:
        """U · diag(s) · Vᵀ."""
        return (self.u * self.s) @ self.vh


def svd(change: Tensor) -> Svd:
    """The SVD of a change (o, i, ...), unrolled to the matrix (o, i·k²)."""
    matrix = change.double().flatten(1)
    if not bool(torch.isfinite(matrix).all()):
        raise BenchError("it holds NaN or an infinity")
    return Svd(*torch.linalg.svd(matrix, full_matrices=False))


def svd_of_product(up: Tensor, down: Tensor) -> Svd:
    """The SVD of up · down, (o, r) by (r, n): QR reduces it to the SVD of an r x r matrix."""
    if up.shape[1] >= min(len(up), down.shape[1]):
        return svd(up @ down)
    q1, r1 = torch.linalg.qr(up.double())  # NaN stays NaN
    q2, r2 = torch.linalg.qr(down.double().T)
    inner = svd(r1 @ r2.T)
    return Svd(q1 @ inner.u, inner.s, inner.vh @ q2.T)


def rank_of_energy(values: Tensor, energy: float) -> int:
    """The least rank whose singular values have this share of the sum of squares.

    >>> rank_of_energy(torch.tensor([3.0, 1.0, 0.0]), 0.9), rank_of_energy(torch.ones(4), 1.0)
    (1, 4)
    """
    squares = values.double() ** 2
    shares = squares.cumsum(0) / squares.sum()
    least = min(energy, float(shares[-1]))
    return int((shares < least).sum()) + 1


def choose(values: Tensor, rank: int | None, energy: float | None) -> int:
    """The given rank, or that of the energy share; at most the rank of the matrix."""
    chosen = rank if rank is not None else rank_of_energy(values, energy or 1.0)
    return max(1, min(chosen, numerical_rank(values)))


def numerical_rank(values: Tensor) -> int:
    """The number of singular values above the rounding error of fp32."""
    return int((values > values.max() * ROUNDING).sum())


def check_rank(rank: int | None, energy: float | None) -> None:
    """BenchError: a rank or an energy share is out of range, or both are given."""
    if rank is not None and energy is not None:
        raise BenchError("give --rank or --energy, not both")
    if rank is not None and rank not in (allowed := Range(1, LARGEST, whole=True)):
        raise BenchError(f"--rank is {rank}; {allowed} is allowed")
    if energy is not None and not 0 < energy <= 1:
        raise BenchError(f"--energy is {energy:g}; a share above 0 and up to 1 is allowed")


def tail(values: Tensor, rank: int) -> float:
    """The error of a cut: the root of the sum of squares after the first `rank` values."""
    return float(torch.linalg.vector_norm(values[rank:].double()))


def lora(decomposed: Svd, shape: torch.Size, rank: int) -> dict[str, Tensor]:
    """LoRA tensors of this rank for a weight of `shape`, with √s in up and in down."""
    cut = decomposed.cut(rank)
    root = cut.s.sqrt()
    return write.lora(Product(cut.u * root, root[:, None] * cut.vh), tuple(shape[1:]))


HALF = 2  # bytes of a number


def within(values: list[Tensor], costs: list[int], budget: int) -> list[int]:
    """The rank of each layer when the largest singular values of all are kept until `budget`
    bytes are spent; `costs` are bytes per rank. The threshold is the same for all layers.

    >>> within([torch.tensor([5.0, 1.0]), torch.tensor([4.0, 3.0])], [10, 20], 50)
    [1, 2]
    """
    owners = torch.cat([torch.full((len(v),), n) for n, v in enumerate(values)])
    order = torch.cat(values).argsort(descending=True, stable=True)
    spent = torch.tensor(costs)[owners[order]].cumsum(0)
    kept = owners[order][spent <= budget]
    return torch.bincount(kept, minlength=len(values)).tolist()
