"""W' - W of each algorithm in float64, written from the mathematics: whole matrices, index by
index where a product is what is in question. No code is shared with the package.

`change(tensors, weight)` takes one layer's tensors under their names in files. Gradients are
autograd's, so that they are of these formulas."""

import torch
from torch import Tensor

Tensors = dict[str, Tensor]


def change(tensors: Tensors, weight: Tensor) -> Tensor:
    """W' - W at strength 1."""
    t = {k: v.double() if v.is_floating_point() else v for k, v in tensors.items()}
    w = weight.double()
    if "oft_blocks" in t or "oft_diag" in t or "oft_in.weight" in t:
        return rotated(t, w) - w
    if "on_input" in t:
        shape = [1] * w.dim()
        shape[int(t["on_input"])] = -1
        return w * (1 + t["weight"].reshape(shape)) - w
    found = next(part(t, w) for mark, part in PARTS.items() if mark in t)
    return dora(found, t["dora_scale"], w) if "dora_scale" in t else found


def ratio(t: Tensors, rank: int) -> float:
    """alpha/dim; a missing alpha and alpha 0 mean alpha = dim."""
    return (float(t.get("alpha", 0)) or rank) / rank


def tucker(core: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Σ core[p, q, k] · left[o, p] · right[q, c], as (o, c, k)."""
    return torch.einsum("pqk,op,qc->ock", core.flatten(2), left.flatten(1), right.flatten(1))


def lora(t: Tensors, w: Tensor) -> Tensor:
    up, down = t["lora_up.weight"].flatten(1), t["lora_down.weight"]
    scale = ratio(t, len(down))
    if "lora_mid.weight" in t:
        return scale * tucker(t["lora_mid.weight"], up, down).reshape(w.shape)
    terms = (torch.outer(up[:, r], down[r].flatten()) for r in range(len(down)))
    return scale * sum(terms).reshape(w.shape)


def loha(t: Tensors, w: Tensor) -> Tensor:
    halves = []
    for k in "12":
        a, b = t[f"hada_w{k}_a"], t[f"hada_w{k}_b"]
        core = t.get(f"hada_t{k}")
        half = torch.einsum("or,ri->oi", a, b) if core is None else tucker(core, a.T, b)
        halves.append(half.reshape(w.shape))
    return ratio(t, len(t["hada_w1_b"])) * halves[0] * halves[1]


def lokr(t: Tensors, w: Tensor) -> Tensor:
    """Entry (o, i) is w1[o // v, i // v'] · w2[o % v, i % v']."""
    w1 = t["lokr_w1"] if "lokr_w1" in t else t["lokr_w1_a"] @ t["lokr_w1_b"]
    if "lokr_w2" in t:
        w2 = t["lokr_w2"]
    elif "lokr_t2" in t:
        w2 = tucker(t["lokr_t2"], t["lokr_w2_a"].T, t["lokr_w2_b"])
    else:
        w2 = t["lokr_w2_a"] @ t["lokr_w2_b"]
    v, vi = len(w) // len(w1), w.shape[1] // w1.shape[1]
    w2 = w2.reshape(v, vi, -1)
    o, i = torch.arange(len(w))[:, None], torch.arange(w.shape[1])[None]
    product = w1[o // v, i // vi][..., None] * w2[o % v, i % vi]
    ranks = [len(t[name]) for name in ("lokr_w2_b", "lokr_w1_b") if name in t]
    return (ratio(t, ranks[0]) if ranks else 1.0) * product.reshape(w.shape)


def glora(t: Tensors, w: Tensor) -> Tensor:
    """The present layout: W·a1·a2 + b1·b2, for each place of a kernel."""
    a1, a2, b1, b2 = (t[f"{name}.weight"].flatten(1) for name in ("a1", "a2", "b1", "b2"))
    places = w.reshape(*w.shape[:2], -1).unbind(2)
    own = torch.stack([place @ (a1 @ a2) for place in places], dim=2)
    return ratio(t, a1.shape[1]) * (own.reshape(w.shape) + (b1 @ b2).reshape(w.shape))


def full(t: Tensors, w: Tensor) -> Tensor:
    return t["diff"]


def dora(found: Tensor, magnitude: Tensor, w: Tensor) -> Tensor:
    """m · V/|V| - W with V = W + ΔW, the norm being that of what shares one number of m."""
    axis = 0 if magnitude.shape[0] == len(w) and magnitude.numel() == len(w) else 1
    moved = (w + found).movedim(axis, 0)
    rows = [
        m * row / row.square().sum().sqrt()
        for m, row in zip(magnitude.flatten(), moved, strict=True)
    ]
    return torch.stack(rows).movedim(0, axis) - w


def cayley(blocks: Tensor, epsilon: float, outputs: int) -> Tensor:
    """(I + Q)·(I - Q)⁻¹ of each block, |Q| bounded by epsilon · outputs over all blocks."""
    q = blocks - blocks.transpose(-1, -2)
    length = q.square().sum().sqrt() + 1e-8
    if epsilon > 0 and length > epsilon * outputs:
        q = q * (epsilon * outputs / length)
    unit = torch.eye(q.shape[-1], dtype=q.dtype)
    return (unit + q) @ torch.linalg.inv(unit - q)


def rotated(t: Tensors, w: Tensor) -> Tensor:
    """W' of Diag-OFT (Rᵀ·W; W·Rᵀ of unrolled or channel inputs) or BOFT (swap, R, swap back)."""
    rows = w.flatten(1)
    epsilon = float(t.get("alpha", 0))
    if "oft_in.weight" in t:
        matrix = torch.block_diag(*t["oft_in.weight"])
        if len(matrix) != rows.shape[1]:  # channels: the same for each place of a kernel
            matrix = torch.kron(matrix, torch.eye(w[0, 0].numel(), dtype=matrix.dtype))
        rows = rows @ matrix.T
    elif "oft_diag" in t:
        rows = torch.block_diag(*t["oft_diag"]).T @ rows
    elif t["oft_blocks"].dim() == 3:
        rows = torch.block_diag(*cayley(t["oft_blocks"], epsilon, len(w))).T @ rows
    else:
        size = t["oft_blocks"].shape[-1]
        for s, turns in enumerate(cayley(t["oft_blocks"], epsilon, len(w))):
            swap = swapped(len(w), 2**s * size // 2)
            rows = swap.T @ torch.block_diag(*turns) @ swap @ rows
    rescale = t.get("rescale", torch.ones(len(w), dtype=torch.float64))
    return (rescale.reshape(-1, 1) * rows).reshape(w.shape)


def swapped(n: int, stride: int) -> Tensor:
    """The permutation that puts each row of a chunk of 2·stride beside that `stride` below."""
    matrix = torch.zeros(n, n, dtype=torch.float64)
    for chunk in range(0, n, 2 * stride):
        for k in range(stride):
            matrix[chunk + 2 * k, chunk + k] = 1
            matrix[chunk + 2 * k + 1, chunk + stride + k] = 1
    return matrix


PARTS = {
    "lora_down.weight": lora, "hada_w1_a": loha, "lokr_w1": lokr, "lokr_w1_a": lokr,
    "a1.weight": glora, "diff": full,
}  # fmt: skip
