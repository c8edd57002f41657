"""Products of fp32 matrices on a CPU, by oneDNN where it rounds as little as BLAS does.

torch gives such products to MKL, which on CPUs of other makers than Intel keeps to code of half the
speed. The switch between the two is the precision "medium", at which oneDNN may round to bf16; on
CPUs without bf16 matrix units it does not, and a trial tells."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

ROUNDING = 1e-5  # relative; fp32 leaves 1e-7 and bf16 1e-3 on the products of the trial


class _ByOneDNN:
    """Within it torch's fp32 products on the CPU are oneDNN's."""

    def __enter__(self) -> None:
        self.before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("medium")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        torch.set_float32_matmul_precision(self.before)


@cache
def exact() -> bool:
    """Whether oneDNN's products of fp32 matrices are exact to fp32 on this CPU."""
    draw = torch.Generator().manual_seed(0)
    sizes: Iterable[tuple[int, int, int]] = ((64, 64, 64), (512, 48, 96), (32, 1024, 32))
    for rows, inner, columns in sizes:
        a = torch.rand(rows, inner, generator=draw)
        b = torch.rand(inner, columns, generator=draw)
        with _ByOneDNN():
            product = a @ b
        wanted = a.double() @ b.double()
        if ((product - wanted).abs() > ROUNDING * wanted).any():
            return False
    return True


def suits(value: Tensor) -> bool:
    """Whether the products of a layer with these inputs are better made here: fp32 on a CPU."""
    return (
        value.device.type == "cpu"
        and value.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and exact()
    )


def by_onednn() -> AbstractContextManager[None]:
    """Within it fp32 products on the CPU are oneDNN's, where these are exact."""
    return _ByOneDNN() if exact() else nullcontext()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """y = x·Wᵀ + b with its gradients by oneDNN, for x that `suits`."""
    product: Tensor = _Linear.apply(x, weight, bias)
    return product


class _Linear(torch.autograd.Function):
    """y = x·Wᵀ + b; ∂x = ∂y·W, ∂W = ∂yᵀ·x, ∂b the sum of ∂y's rows."""

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
