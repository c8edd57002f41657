"""The gated feed-forward layer of denoisers without copies of its halves."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def gated(layer: Any, x: Tensor) -> Tensor:
    """a · gelu(b) of the halves a and b of a linear layer's output, as diffusers' `GEGLU`."""
    output: Tensor = _Gated.apply(layer.proj(x))
    return output


class _Gated(torch.autograd.Function):
    """[a, b] -> a · gelu(b); the gradient's halves are written side by side."""

    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        a, b = both.chunk(2, -1)
        activated = F.gelu(b)
        ctx.save_for_backward(both, activated)
        return a * activated

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        both, activated = ctx.saved_tensors
        a, b = both.chunk(2, -1)
        gradient = torch.empty_like(both)
        of_a, of_b = gradient.chunk(2, -1)
        torch.mul(grad, activated, out=of_a)
        torch.ops.aten.gelu_backward.grad_input(grad * a, b, grad_input=of_b)
        return gradient
