"""Products of fp32 matrices on a CPU, by oneDNN where it rounds as little as BLAS does.

torch gives such products to MKL, which computes at half of oneDNN's speed on CPUs of other makers
than Intel. The switch between the two is the precision "medium", at which oneDNN may round to
bfloat16: on CPUs without units for bfloat16 matrices it does not, and a trial tells."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

ROUNDING = 1e-5  # relative; fp32 leaves 1e-7 and bfloat16 1e-3 on the products of the trial
LEAST = 1 << 20  # multiplications of a product: below, oneDNN's preparations take longer than it
TRIAL = ((64, 64, 64), (512, 48, 96), (32, 1024, 32))


@contextmanager
def by_onednn() -> Iterator[None]:
    """Within it torch's fp32 products on a CPU are oneDNN's, where those are exact to fp32."""
    with _medium() if exact() else nullcontext():
        yield


@contextmanager
def _medium() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@cache
def exact() -> bool:
    """Whether oneDNN's products of fp32 matrices are exact to fp32 on this CPU."""
    draw = torch.Generator().manual_seed(0)
    for rows, inner, columns in TRIAL:
        a = torch.rand(rows, inner, generator=draw)
        b = torch.rand(inner, columns, generator=draw)
        wanted = a.double() @ b.double()
        with _medium():
            found = [a @ b, torch.bmm(a[None], b[None])[0], torch.addmm(b[0] * 0, a, b)]
        if any(bool(((one - wanted).abs() > ROUNDING * wanted).any()) for one in found):
            return False
    return True


_wanted = False


@contextmanager
def quick_products() -> Iterator[None]:
    """Within it `linear` is computed by oneDNN where that is faster and no less exact."""
    global _wanted
    before, _wanted = _wanted, exact()
    try:
        yield
    finally:
        _wanted = before


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x Wᵀ + b"""
    if not _wanted or x.numel() * len(weight) < LEAST:
        return F.linear(x, weight, bias)
    output: Tensor = _Linear.apply(x, weight, bias)
    return output


class _Linear(torch.autograd.Function):
    """y = x Wᵀ + b; ∂x = ∂y W, ∂W = ∂yᵀ x, ∂b = the sum of ∂y's rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        with by_onednn():
            return F.linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        rows = grad.reshape(-1, grad.shape[-1])
        with by_onednn():
            return (
                (rows @ weight).view(x.shape) if of_x else None,
                rows.mT @ x.reshape(-1, x.shape[-1]) if of_weight else None,
                rows.sum(0) if of_bias else None,
            )
