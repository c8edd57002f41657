"""The layers of diffusers' U-Nets and VAEs for drawing: pixels [n, c, h, w] whose numbers lie side
by side in memory (channels last), no division by scales of 1, no copies that undo each other."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def resnet(layer: Any, x: Tensor, emb: Tensor | None = None) -> Tensor:
    """x + conv(silu(norm(conv(silu(norm(x))) + time))); `emb` has passed its silu."""
    h = layer.conv1(activated(layer.norm1, x))
    if emb is not None:
        h.add_(linear(layer.time_emb_proj, emb[: len(x), :, None, None]))
    h = layer.conv2(activated(layer.norm2, h))
    return h.add_(x if layer.conv_shortcut is None else layer.conv_shortcut(x))


def activated(norm: Any, x: Tensor) -> Tensor:
    """silu(norm(x))"""
    if in_halves_on_cpu(x):
        return F.silu(group_norm(norm, x), inplace=True).to(x.dtype)
    return F.silu(norm(x), inplace=True)


def normed(norm: Any, x: Tensor) -> Tensor:
    """norm(x)"""
    output: Tensor = group_norm(norm, x).to(x.dtype) if in_halves_on_cpu(x) else norm(x)
    return output


def in_halves_on_cpu(x: Tensor) -> bool:
    """Whether torch has no fast group norm of this tensor: its own takes five times as long."""
    by_pixel = x.is_contiguous(memory_format=torch.channels_last)
    return x.dtype == torch.bfloat16 and x.device.type == "cpu" and by_pixel


def group_norm(norm: Any, x: Tensor) -> Tensor:
    """A group norm of pixels with their numbers side by side, in fp32: (x - m) / s · w + b with the
    mean m and s² = mean of x² - m² + eps over each group, as a single x · scale + shift."""
    n, c, height, width = x.shape
    values = x.permute(0, 2, 3, 1).reshape(n, height * width, c).float()
    groups = (n, norm.num_groups, -1)
    mean = values.mean(1).view(groups).mean(2, keepdim=True)
    square = (values * values).mean(1).view(groups).mean(2, keepdim=True)
    rate = (square - mean * mean).clamp(min=0).add(norm.eps).rsqrt()
    scale = rate * norm.weight.float().view(1, norm.num_groups, -1)
    shift = norm.bias.float().view(1, norm.num_groups, -1) - mean * scale
    values.mul_(scale.view(n, 1, c)).add_(shift.view(n, 1, c))
    return values.view(n, height, width, c).permute(0, 3, 1, 2)


def channels_last(x: Tensor) -> Tensor:
    """x with the numbers of a pixel side by side."""
    return x.contiguous(memory_format=torch.channels_last)


def pixelwise(layer: Any, x: Tensor) -> Tensor:
    """A layer over the numbers of each pixel."""
    output: Tensor = layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return output


def linear(layer: Any, x: Tensor, rows: slice = slice(None)) -> Tensor:
    """A linear layer over the numbers of each pixel, or those outputs of it. On a CPU as a
    convolution of 1 x 1, which it is, since oneDNN's is up to 2.4 times as fast in fp32."""
    weight, bias = layer.weight[rows], None if layer.bias is None else layer.bias[rows]
    if x.device.type == "cpu":
        return F.conv2d(x, weight.reshape(*weight.shape[:2], 1, 1), bias)
    return F.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias).permute(0, 3, 1, 2)


def tokens(x: Tensor) -> Tensor:
    """Pixels [n, c, h, w] as tokens [n, h · w, c]."""
    return x.flatten(2).transpose(1, 2)
