"""Products of factors: the sizes of a Kronecker product, and changes written as up · down.

Matrices are (o, n) with kernels unrolled, n = i·k²."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from lycoris_bench.messages.errors import BenchError

ROUNDING = 1e-7  # singular values below this share of the largest are rounding of fp32
CANCELLED = 1e-4  # of the largest possible square: below, its digits are not enough
DIGITS = 1e-16
Factors = tuple[Tensor, Tensor]  # (o, r) and (r, i·k²)


class Product(NamedTuple):
    """A change up (o, r) · down (r, n), and its relative error |lost| / |change|."""

    up: Tensor
    down: Tensor
    error: float = 0.0

    @property
    def rank(self) -> int:
        """r."""
        return self.up.shape[1]


def in_float64(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A layer's tensors in float64; integers stay as they are."""
    return {k: v.double() if v.is_floating_point() else v for k, v in tensors.items()}


def factorization(n: int, factor: int) -> tuple[int, int]:
    """(u, v) with u·v = n, u <= v and u the largest divisor of n up to min(factor, √n).

    LyCORIS, Eq. (5); factor -1 means no bound but √n. As in the LyCORIS library, and unlike
    the equation, a factor above √n that divides n is taken as v, so that names and sizes of
    files agree with the ecosystem's (n=4, factor=4 gives (1, 4), not (2, 2)).

    >>> factorization(320, 8), factorization(320, -1), factorization(4, 4), factorization(13, 5)
    ((8, 40), (16, 20), (1, 4), (1, 13))
    """
    if factor > 0 and n % factor == 0:
        u = min(factor, n // factor)
    else:
        bound = math.isqrt(n) if factor < 0 else min(factor, math.isqrt(n))
        u = next(u for u in range(bound, 0, -1) if n % u == 0)
    return u, n // u


def mixed(core: Tensor, right: Tensor) -> Tensor:
    """Σ_s core[r, s, ·] · right[s, i], as a matrix (dim, i·k²).

    `core` is (dim, dim, k...), `right` (dim, i) or (dim, i, 1...). With this in the place of
    the right factor a Tucker form is a plain product of two matrices."""
    return torch.einsum("rsk,si->rik", core.flatten(2), right.flatten(1)).flatten(1)


def truncated(matrix: Tensor, rank: int | None = None) -> Product:
    """The nearest product of this rank (Eckart-Young); without one, of the matrix's own rank.

    √s goes to either side, so that both keep to the range of half precision."""
    matrix = matrix.double()
    if not bool(torch.isfinite(matrix).all()):
        raise BenchError("its change holds NaN or an infinity")
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    full = max(1, int((s > s.max() * ROUNDING).sum()))
    kept = full if rank is None else min(rank, full)
    root = s[:kept].sqrt()
    size = float(torch.linalg.vector_norm(s))
    lost = float(torch.linalg.vector_norm(s[kept:])) if kept < full else 0.0
    return Product(u[:, :kept] * root, root[:, None] * vh[:kept], lost / size if size else 0.0)


def balanced(product: Product, ratio: float = 1.0) -> Factors:
    """(up, down) of ratio · up·down, both of about one size: neither leaves a dtype's range.

    down takes a power of two, which no dtype rounds, and up takes the rest: a ratio that is
    itself a power of two changes no digit."""
    up, down, _ = product
    sizes = [float(torch.linalg.vector_norm(side)) / max(side.numel(), 1) ** 0.5
             for side in (up, down)]  # fmt: skip
    if not all(0 < size < math.inf for size in sizes) or not math.isfinite(ratio):
        return up * ratio, down
    target = math.sqrt(sizes[0] * abs(ratio) * sizes[1])
    power = 2.0 ** round(math.log2(target / sizes[1])) if target else 1.0
    return up * (ratio / power), down * power


def khatri_rao(w1a: Tensor, w1b: Tensor, w2a: Tensor, w2b: Tensor) -> Product:
    """(w1a·w1b) ⊙ (w2a·w2b) of ranks r and s as one product of rank r·s: row o of up is
    w1a[o] ⊗ w2a[o], column n of down is w1b[:, n] ⊗ w2b[:, n]."""
    up = torch.einsum("or,os->ors", w1a, w2a).flatten(1)
    return Product(up, torch.einsum("rn,sn->rsn", w1b, w2b).flatten(0, 1))


def kronecker(w1: Tensor, w2: Tensor) -> Product:
    """w1 ⊗ w2 as one product whose rank is that of w1 times that of w2, both matrices.

    Of SVDs of the two small blocks: (a·b) ⊗ (c·d) = (a ⊗ c)·(b ⊗ d)."""
    left, right = truncated(w1), truncated(w2)
    up = torch.einsum("or,ps->oprs", left.up, right.up).flatten(2).flatten(0, 1)
    return Product(up, torch.einsum("ri,sj->rsij", left.down, right.down).flatten(2).flatten(0, 1))


def norm(values: Tensor) -> float:
    """The root of the sum of squares."""
    return float(torch.linalg.vector_norm(values.double()))


def length(product: Factors, precision: torch.dtype = torch.float64) -> float:
    """|up · down|, the root of the sum of squares: √tr((upᵀ·up)(down·downᵀ)), and by the triangles
    of both where much cancels or leaves the range, as squares have half of the digits.

    >>> length((torch.tensor([[3.0], [4.0]]), torch.tensor([[1.0, 0.0]])))
    5.0
    """
    up, down = (side.to(precision) for side in product)
    left, right = (up.T @ up).double(), (down @ down.T).double()
    square, sizes = float((left * right).sum()), (float(left.trace()), float(right.trace()))
    in_range = min(sizes) > torch.finfo(precision).tiny / DIGITS
    if in_range and CANCELLED * sizes[0] * sizes[1] < square < math.inf:
        return math.sqrt(square)
    left_triangle = torch.linalg.qr(product[0].double(), mode="r")[1]
    right_triangle = torch.linalg.qr(product[1].double().T, mode="r")[1]
    return float(torch.linalg.vector_norm(left_triangle @ right_triangle.T))
