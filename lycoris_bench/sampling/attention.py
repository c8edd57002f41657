"""softmax(q kᵀ / √d) v, as the denoiser's layers compute it, and quicker in bfloat16 on a CPU."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

MOST_SCORES = 1 << 20
MOST_KEYS = 1 << 11  # of an image: more leave the cache, where torch's own kernel is better
SMALLEST, LARGEST = 1e-30, 1e30  # sums of exponentials: within them no digit is lost


class Keys(NamedTuple):
    """What is attended to: keys [n, heads, length, d], values [n, heads, length, d], and the mask
    [n, 1, 1, length] that is added to scores, or None."""

    keys: Tensor
    values: Tensor
    mask: Tensor | None = None

    @classmethod
    def of(cls, keys: Tensor, values: Tensor, heads: int, mask: Tensor | None = None) -> "Keys":
        """From keys and values [n, length, heads · d]."""
        return cls(apart(keys, heads), apart(values, heads), mask)


def apart(tensor: Tensor, heads: int) -> Tensor:
    """[n, length, heads · d] as [n, heads, length, d]."""
    return tensor.unflatten(-1, (heads, -1)).transpose(1, 2)


def attend(queries: Tensor, heads: int, to: Keys) -> Tensor:
    """[n, length, heads · d] -> the same shape."""
    q = apart(queries, heads)
    if q.device.type == "cpu" and to.keys.shape[2] <= MOST_KEYS:
        attended = by_exponentials(q, to)
        if attended is not None:
            return attended
    out = F.scaled_dot_product_attention(q, to.keys, to.values, attn_mask=to.mask)
    return out.transpose(1, 2).flatten(2)


def by_exponentials(q: Tensor, to: Keys) -> Tensor | None:
    """Attention as exp(s) [v, 1], whose last column is the sum that the others are divided by:
    one pass over the scores s in place of softmax's three. None where a sum leaves the range in
    which leaving out softmax's shift by the largest score costs no digit.

    Two products of matrices and one power of two are 2 to 3 times as fast in bfloat16 as the fused
    kernel, which for 12 to 24 numbers a head is busy with its blocks."""
    n, heads, length, d = q.shape
    keys = to.keys.shape[2]
    values = F.pad(to.values, (0, 1), value=1.0).reshape(n * heads, keys, d + 1).transpose(1, 2)
    q = (q * (math.log2(math.e) / math.sqrt(d))).reshape(-1, length, d)
    k = to.keys.reshape(-1, keys, d)
    step = max(1, MOST_SCORES // (length * keys * heads)) * heads
    sums = torch.empty(n * heads, d + 1, length, dtype=q.dtype)
    scores = torch.empty(min(step, len(q)), length, keys, dtype=q.dtype)
    for start in range(0, len(q), step):
        part = slice(start, start + step)
        weights = torch.bmm(q[part], k[part].transpose(1, 2), out=scores[: len(q[part])])
        if to.mask is not None:
            rows = to.mask.expand(n, heads, 1, keys).reshape(-1, 1, keys)[part]
            weights.add_(rows)
        torch.bmm(values[part], weights.exp2_().transpose(1, 2), out=sums[part])
    attended, total = sums.split([d, 1], 1)
    low, high = total.aminmax()
    if not SMALLEST < float(low) <= float(high) < LARGEST:
        return None
    return (attended / total).view(n, heads * d, length).transpose(1, 2)
