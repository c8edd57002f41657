"""|ΔW| of one layer in float64, from its factors: at the cost of their rank, ΔW is not made."""

import math

import torch
from torch import Tensor

from lycoris_bench.adapter_tools.error_report import norm
from lycoris_bench.adapter_tools.layer import Tensors, algorithm, rank, shape_of
from lycoris_bench.adapter_tools.products import length
from lycoris_bench.adapters.algorithms.base import scale
from lycoris_bench.adapters.algorithms.factors import mixed
from lycoris_bench.adapters.algorithms.loha import half
from lycoris_bench.adapters.algorithms.lokr import factors
from lycoris_bench.adapters.algorithms.lora import DOWN, MID, UP
from lycoris_bench.adapters.delta import changes
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError

FACTORED = ("lora", "loha", "lokr")
LARGEST = torch.finfo(torch.float32).max
ROWS = 256  # of a LoHa that are made at a time


@torch.no_grad()
def length_alone(tensors: Tensors) -> float:
    """|ΔW| of a layer whose change does not depend on W.

    Raises `AdapterFileError` for a change beyond fp32, in which readers compute."""
    found = {k: v.double() if v.is_floating_point() else v for k, v in tensors.items()}
    kind = algorithm(found)
    by = rank(found)
    ratio = 1.0 if by is None else float(scale(found, by))
    if kind == "lora":
        size = ratio * _lora(found)
    elif kind == "loha":
        size = ratio * _loha(found)
    elif kind == "lokr":
        size = ratio * math.prod(_block(found, k) for k in (1, 2))
    else:
        size = math.hypot(*(norm(found[name]) for name in ("diff", "w_norm") if name in found))
    if not abs(size) <= LARGEST:  # a length beyond fp32 may be one of smaller numbers
        refuse_beyond_fp32(changes(found, torch.zeros(shape_of(found)), torch.float64)[0])
    return abs(size)


def refuse_beyond_fp32(change: Tensor) -> None:
    """Raises `AdapterFileError` where a number is beyond fp32 or is none."""
    largest = float(change.abs().max())
    if not largest <= LARGEST:  # NaN is not
        raise AdapterFileError(f"the largest number of its change is {largest:.3g}, and float32, "
                               f"which readers compute in, holds up to {LARGEST:.3g}")  # fmt: skip


def _lora(found: Tensors) -> float:
    """|up · down|, the core of a Tucker form with the down."""
    down = found[DOWN].flatten(1)
    return length((found[UP].flatten(1), mixed(found[MID], down) if MID in found else down))


def _loha(found: Tensors) -> float:
    """|(a1·b1) ⊙ (a2·b2)|, some rows at a time: the product's own rank is that of both together,
    which is often more than its sizes."""
    (a1, b1), (a2, b2) = (half(found, k) for k in (1, 2))
    rows = zip(a1.split(ROWS), a2.split(ROWS), strict=True)
    return math.hypot(*(norm((one @ b1) * (two @ b2)) for one, two in rows))


def _block(found: Tensors, k: int) -> float:
    """|w_k|: the length of w1 ⊗ w2 is the product of both."""
    parts = factors(found, k)
    return norm(parts[0]) if len(parts) == 1 else length((parts[0], parts[1]))
