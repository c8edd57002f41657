"""softmax(q kᵀ / √d + mask) v with its gradients in fp32 on a CPU, by products of matrices.

torch's fused kernel multiplies small blocks of one head at a time; here several heads are one
product, as many as keep their scores in the cache. Neither keeps scores for the backward pass."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from lycoris_bench.models.quick.products import by_onednn

LOG2_E = math.log2(math.e)
FEWEST_SCORES = 1 << 17  # of a batch: below, torch's kernel is faster
MOST_SCORES = 1 << 18  # numbers in a block: 1 MiB
SMALLEST, LARGEST = 1e-30, 1e30  # sums of exponentials: within them no digit is lost
OTHERS = ("spatial_norm", "group_norm", "norm_q", "norm_k", "norm_cross", "residual_connection",
          "fused_projections")  # fmt: skip


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """softmax(q kᵀ · scale + mask) v of q [n, heads, l, d], k and v [n, heads, m, d], and a mask
    [n, heads, 1 or l, m] without a gradient."""
    if q.shape[:3].numel() * k.shape[2] < FEWEST_SCORES:
        return F.scaled_dot_product_attention(q, k, v, mask, scale=scale)
    attended: Tensor = _Attention.apply(q, k, v, mask, scale)
    return attended


class _Attention(torch.autograd.Function):
    """In powers of two, s = log2(e) (q kᵀ · scale + mask) and L = log2 of the sum of 2^s:

        p = 2^(s - L),  o = p v,  ∂v = pᵀ ∂o,  ∂s = p (∂o vᵀ - ∂o · o),  ∂q = ∂s k,  ∂k = ∂sᵀ q

    A column of ones beside k and v makes the sum and the two differences part of the products. No
    product is of a slice, which would be copied."""

    @staticmethod
    @by_onednn()
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float
    ) -> Tensor:
        n, heads, length, d = q.shape
        q, k, v = _beside(q, 0.0), _beside(k, 1.0), _beside(v, 1.0)
        q.mul_(scale * LOG2_E)
        if mask is not None:
            mask = (mask * LOG2_E).expand(n, heads, -1, -1).reshape(n * heads, -1, k.shape[1])
        sums, largest = _sums(q, k, v, mask, shifted=False)
        low, high = sums[..., d:].aminmax()
        if not SMALLEST < float(low) <= float(high) < LARGEST:
            sums, largest = _sums(q, k, v, mask, shifted=True)
        total = sums[..., d:]
        output = sums[..., :d] / total
        q[..., d:] = -(total.log2() + largest)
        ctx.save_for_backward(q, k, v, mask, output)
        ctx.scale = scale
        return output.view(n, heads, length, d)

    @staticmethod
    @once_differentiable
    @by_onednn()
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, mask, output = ctx.saved_tensors
        n, heads, _, d = grad.shape
        g = _beside(grad, 0.0)
        g[..., d:] = -(g[..., :d] * output).sum(-1, keepdim=True)
        of_q = torch.empty_like(q)
        of_k, of_v = (q.new_empty(x.mT.shape) for x in (k, v))
        for part, p, s in _blocks(q, k, mask, 2):
            torch.bmm(g[part].mT, p.exp2_(), out=of_v[part])
            p.mul_(torch.bmm(g[part], v[part].mT, out=s))
            torch.bmm(p, k[part], out=of_q[part])
            torch.bmm(q[part].mT, p, out=of_k[part])
        apart = (of_q.mul_(ctx.scale), of_k.div_(LOG2_E).mT, of_v.mT)
        return *(x.unflatten(0, (n, heads))[..., :d] for x in apart), None, None


def _beside(x: Tensor, value: float) -> Tensor:
    """[n, heads, l, d] as [n · heads, l, d + 1], with the value in the last column."""
    n, heads, length, d = x.shape
    wider = x.new_empty(n, heads, length, d + 1)
    wider[..., :d] = x
    wider[..., d:] = value
    return wider.flatten(0, 1)


def _blocks(q: Tensor, k: Tensor, mask: Tensor | None, count: int) -> Iterator[tuple[Any, ...]]:
    """Heads that are computed together: their place, their scores, and other room of that size."""
    rows, length, keys = len(q), q.shape[1], k.shape[1]
    step = min(rows, max(1, MOST_SCORES // (length * keys)))
    room = q.new_empty(count, step, length, keys)
    for start in range(0, rows, step):
        part = slice(start, start + step)
        scores, *more = room[:, : min(step, rows - start)]
        torch.bmm(q[part], k[part].mT, out=scores)
        if mask is not None:
            scores.add_(mask[part])
        yield part, scores, *more


def _sums(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, shifted: bool
) -> tuple[Tensor, Tensor]:
    """2^(s - a) [v, 1] and a, which is the largest s of each row, or 0 where not `shifted`."""
    sums, largest = torch.empty_like(q), q.new_zeros(*q.shape[:2], 1)
    for part, scores in _blocks(q, k, mask, 1):
        if shifted:
            largest[part] = scores.amax(-1, keepdim=True)
            scores.sub_(largest[part])
        torch.bmm(scores.exp2_(), v[part], out=sums[part])
    return sums, largest


class Processor:
    """What an `Attention` of diffusers computes with."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        told = hidden_states if encoder_hidden_states is None else encoder_hidden_states

        def by_head(value: Tensor) -> Tensor:
            return value.unflatten(-1, (attn.heads, -1)).transpose(1, 2)

        q, k, v = by_head(attn.to_q(hidden_states)), by_head(attn.to_k(told)), attn.to_v(told)
        mask = attn.prepare_attention_mask(attention_mask, told.shape[1], len(told))
        if mask is not None:
            mask = mask.unflatten(0, (-1, attn.heads))
        output = attention(q, k, by_head(v), mask, q.shape[-1] ** -0.5)
        output = attn.to_out[1](attn.to_out[0](output.transpose(1, 2).flatten(2)))
        return output / attn.rescale_output_factor if attn.rescale_output_factor != 1 else output


def plain(attn: Any) -> bool:
    """Whether a layer computes no more than `Processor` does."""
    return type(attn.processor).__name__ == "AttnProcessor2_0" and not any(
        getattr(attn, name, None) for name in OTHERS
    )
