"""Changes as plain LoRA, up · down: exactly where their structure gives the factors, else by SVD.

Pure functions on tensors, in float64: what a file holds is rounded once, when it is written.
Matrices are (o, n) with kernels unrolled, n = i·k²."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.base import scale
from lycoris_bench.adapters.algorithms.dora import MAGNITUDE
from lycoris_bench.adapters.algorithms.lora import DOWN, MID, UP
from lycoris_bench.messages.errors import BenchError

ROUNDING = 1e-7  # singular values below this share of the largest are rounding of fp32


class Product(NamedTuple):
    """A change up (o, r) · down (r, n), and the share |lost| / |change| that it leaves out."""

    up: Tensor
    down: Tensor
    error: float = 0.0

    @property
    def rank(self) -> int:
        """r."""
        return self.up.shape[1]


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


def balanced(product: Product, ratio: float = 1.0) -> tuple[Tensor, Tensor]:
    """(up, down) of ratio · up·down, both of about one size: neither leaves a dtype's range.

    down takes a power of two, which no dtype rounds, and up takes the rest: a ratio that is
    itself a power of two changes no digit."""
    up, down, _ = product
    sizes = [float(torch.linalg.vector_norm(side)) / max(side.numel(), 1) ** 0.5
             for side in (up, down)]  # fmt: skip
    if not all(0 < size < math.inf for size in sizes) or not math.isfinite(ratio):
        return up * ratio, down
    wanted = math.sqrt(sizes[0] * abs(ratio) * sizes[1])
    power = 2.0 ** round(math.log2(wanted / sizes[1])) if wanted else 1.0
    return up * (ratio / power), down * power


def khatri_rao(w1a: Tensor, w1b: Tensor, w2a: Tensor, w2b: Tensor) -> Product:
    """(w1a·w1b) ⊙ (w2a·w2b) of ranks r and s as one product of rank r·s: row o of up is
    w1a[o] ⊗ w2a[o], column n of down is w1b[:, n] ⊗ w2b[:, n]."""
    up = torch.einsum("or,os->ors", w1a, w2a).flatten(1)
    return Product(up, torch.einsum("rn,sn->rsn", w1b, w2b).flatten(0, 1))


def kronecker(w1: Tensor, w2: Tensor) -> Product:
    """w1 ⊗ w2 as one product whose rank is that of w1 times that of w2, both matrices.

    Of SVDs of the two small blocks: (a·b) ⊗ (c·d) = (a ⊗ c)·(b ⊗ d)."""
    one, two = truncated(w1), truncated(w2)
    up = torch.einsum("or,ps->oprs", one.up, two.up).flatten(2).flatten(0, 1)
    return Product(up, torch.einsum("ri,sj->rsij", one.down, two.down).flatten(2).flatten(0, 1))


def folded(up: Tensor, mid: Tensor, down: Tensor) -> Product:
    """up·mid·down with mid (r, r, k, k) on the kernel, as up and a down of (r, i·k²)."""
    inner = torch.einsum("rsk,si->rik", mid.flatten(2), down.flatten(1))
    return Product(up.flatten(1), inner.flatten(1))


def exact(tensors: Mapping[str, Tensor]) -> Product | None:
    """The product that one layer's tensors are by their structure: LoRA of any form, LoHa,
    LoKr. None where there is none, as with DoRA and all that multiplies W."""
    found = {key: value.double() for key, value in tensors.items()}
    if MAGNITUDE in found:
        return None
    if UP in found and DOWN in found:
        ratio = scale(found, len(found[DOWN]))
        if MID in found:
            up, down, _ = folded(found[UP], found[MID], found[DOWN])
            return Product(up * ratio, down)
        return Product(found[UP].flatten(1) * ratio, found[DOWN].flatten(1))
    if "hada_w1_a" in found:
        return _loha(found)
    if {"lokr_w1", "lokr_w1_a"} & found.keys():
        return _lokr(found)
    return None


def _loha(found: Mapping[str, Tensor]) -> Product:
    ratio = scale(found, len(found["hada_w1_b"]))
    halves = []
    for k in ("1", "2"):
        a, b = found[f"hada_w{k}_a"], found[f"hada_w{k}_b"]
        if f"hada_t{k}" in found:
            a, b, _ = folded(a.T, found[f"hada_t{k}"], b)
        halves += [a, b.flatten(1)]
    up, down, _ = khatri_rao(*halves)
    return Product(up * ratio, down)


def _lokr(found: Mapping[str, Tensor]) -> Product:
    ranks = [len(found[name]) for name in ("lokr_w2_b", "lokr_w1_b") if name in found]
    ratio = scale(found, ranks[0]) if ranks else 1.0
    one = found["lokr_w1"] if "lokr_w1" in found else found["lokr_w1_a"] @ found["lokr_w1_b"]
    if "lokr_w2" in found:
        two = found["lokr_w2"].flatten(1)
    elif "lokr_t2" in found:
        up, down, _ = folded(found["lokr_w2_a"].T, found["lokr_t2"], found["lokr_w2_b"])
        two = up @ down
    else:
        two = found["lokr_w2_a"].flatten(1) @ found["lokr_w2_b"].flatten(1)
    up, down, _ = kronecker(one, two)
    return Product(up * ratio, down)
