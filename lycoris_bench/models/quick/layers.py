"""Layers of a denoiser in fp32 on a CPU, computed by products of matrices and without copies."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def pointwise(layer: nn.Conv2d) -> bool:
    """Whether a convolution is a product for each pixel: a kernel of 1 x 1, and nothing else."""
    return (layer.kernel_size, layer.stride, layer.padding, layer.groups) == (
        (1, 1), (1, 1), (0, 0), 1,
    )  # fmt: skip


def by_pixel(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """W x + b for the numbers of each pixel, x [n, c, h, w]: torch multiplies the images one by
    one."""
    kernel = weight.flatten(1).expand(len(x), -1, -1)
    pixels = x.flatten(2)
    if bias is None:
        return torch.bmm(kernel, pixels).unflatten(2, x.shape[2:])
    return torch.baddbmm(bias[:, None], kernel, pixels).unflatten(2, x.shape[2:])


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
