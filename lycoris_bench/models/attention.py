"""Attention softmax(q·kᵀ/√d)·v in fp32 on a CPU, for the small heads on which torch's own is slow.

torch's kernel multiplies blocks of one head at a time by BLAS; here several heads are one product
by oneDNN (products.py), as many as keep their scores in the cache. Neither keeps the scores for the
backward pass."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lycoris_bench.models import products

SCORES = 1 << 19  # numbers in a block of scores: 2 MiB
LONGEST = 1024  # queries and keys; beyond, torch's kernel is as fast, and a head fills the cache
PLAIN = ("spatial_norm", "group_norm", "norm_q", "norm_k", "norm_cross", "residual_connection")


class _Attention(torch.autograd.Function):
    """softmax(q·kᵀ·scale + mask)·v of q [n, l, d], k and v [n, m, d], mask [n, 1, m] or None."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float
    ) -> Tensor:
        q = q * scale
        output = torch.empty_like(q)
        with products.by_onednn():
            for part in _parts(q, k):
                torch.bmm(_weights(q, k, mask, part), v[part], out=output[part])
        ctx.save_for_backward(q, k, v, mask)
        ctx.scale = scale
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, mask = ctx.saved_tensors
        grad, of_q = grad.contiguous(), torch.empty_like(q)
        # transposed, as products of few columns are the slow ones
        of_k, of_v = (torch.empty(len(k), k.shape[2], k.shape[1]) for _ in range(2))
        with products.by_onednn():
            for part in _parts(q, k):
                p, g = _weights(q, k, mask, part), grad[part]
                torch.bmm(g.mT, p, out=of_v[part])
                scores = torch.ops.aten._softmax_backward_data(
                    torch.bmm(g, v[part].mT), p, -1, p.dtype
                )
                torch.bmm(scores, k[part], out=of_q[part])
                torch.bmm(q[part].mT, scores, out=of_k[part])
        return of_q.mul_(ctx.scale), of_k.mT, of_v.mT, None, None


def _parts(q: Tensor, k: Tensor) -> Sequence[slice]:
    """The heads that are computed together."""
    step = max(1, SCORES // (q.shape[1] * k.shape[1]))
    return [slice(start, start + step) for start in range(0, len(q), step)]


def _weights(q: Tensor, k: Tensor, mask: Tensor | None, part: slice) -> Tensor:
    scores = torch.bmm(q[part], k[part].mT)
    if mask is not None:
        scores += mask[part]
    return scores.softmax(-1)


class Processor:
    """What an `Attention` of diffusers computes with: for short fp32 rows on a CPU the above, else
    the processor that it had."""

    def __init__(self, otherwise: Any) -> None:
        self.otherwise = otherwise

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        told = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        longest = max(hidden_states.shape[1], told.shape[1])
        if hidden_states.dim() != 3 or longest > LONGEST or not products.suits(hidden_states):
            output: Tensor = self.otherwise(
                attn, hidden_states, encoder_hidden_states, attention_mask, temb
            )
            return output
        rows, heads = len(hidden_states), attn.heads

        def by_head(value: Tensor) -> Tensor:
            return value.unflatten(-1, (heads, -1)).transpose(1, 2).flatten(0, 1)

        q, k, v = by_head(attn.to_q(hidden_states)), by_head(attn.to_k(told)), attn.to_v(told)
        mask = attn.prepare_attention_mask(attention_mask, told.shape[1], rows)
        output = _Attention.apply(q, k, by_head(v), mask, q.shape[-1] ** -0.5)
        output = output.unflatten(0, (rows, heads)).transpose(1, 2).flatten(2)
        output = attn.to_out[1](attn.to_out[0](output))
        return output / attn.rescale_output_factor if attn.rescale_output_factor != 1 else output


@contextmanager
def for_small_heads(denoiser: Any) -> Iterator[None]:
    """Within it a denoiser's plain attention on a CPU is the above; any other stays as it is."""
    from diffusers.models.attention_processor import Attention, AttnProcessor2_0

    changed = [
        (module, module.processor)
        for module in denoiser.modules()
        if isinstance(module, Attention)
        and type(module.processor) is AttnProcessor2_0
        and not any(getattr(module, name, None) for name in PLAIN)
    ]
    try:
        for module, before in changed:
            module.processor = Processor(before)
        yield
    finally:
        for module, before in changed:
            module.processor = before
