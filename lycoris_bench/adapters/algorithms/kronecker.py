"""The two blocks w1 and w2 of a LoKr: whole, as a product of factors, or in Tucker form."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.base import scale
from lycoris_bench.adapters.algorithms.dora import MAGNITUDE
from lycoris_bench.adapters.algorithms.factors import factorization, mixed
from lycoris_bench.adapters.algorithms.fitting import product, rank_shown, sizes, tucker
from lycoris_bench.adapters.algorithms.knowledge import BIAS, Tensors
from lycoris_bench.adapters.algorithms.lora import DOWN, UP
from lycoris_bench.messages.errors import BenchError

Sizes = tuple[tuple[int, int], tuple[int, int]]  # (u, v), (u', v')


def names_of(tensors: Tensors, k: int) -> tuple[str, tuple[str, str, str]]:
    """The name of a block and of its factors. BenchError: a file has both."""
    name = f"lokr_w{k}"
    factors = (f"{name}_a", f"{name}_b", f"lokr_t{k}")
    if name in tensors and (also := [factor for factor in factors if factor in tensors]):
        raise BenchError(f"{name} and {also[0]} of one layer contradict each other")
    return name, factors


def block_shape(tensors: Tensors, k: int) -> torch.Size:
    """Sizes of a block, whole or from its factors."""
    name, (a, b, core) = names_of(tensors, k)
    if name in tensors or not {a, b, core} & tensors.keys():
        return sizes(tensors, name)
    if core in tensors:
        return tucker(tensors, core, a, b)
    return torch.Size(product(tensors, a, b))


def factors_of_block(tensors: Tensors, k: int) -> tuple[Tensor, ...]:
    """A block as a matrix, or as the two factors it is the product of."""
    name, (first, second, core) = names_of(tensors, k)
    if name in tensors:
        return (tensors[name].flatten(1),)
    a, b = tensors[first].flatten(1), tensors[second].flatten(1)
    return (a.mT, mixed(tensors[core], b)) if core in tensors else (a, b)


def block(tensors: Tensors, k: int) -> Tensor:
    """A block as a matrix."""
    left, *right = factors_of_block(tensors, k)
    return left @ right[0] if right else left


def second_outputs(tensors: Tensors) -> int:
    """Outputs of the second block."""
    return split_sizes(tensors)[0][1]


def split_sizes(tensors: Tensors) -> Sizes:
    """The sizes into which the blocks split outputs and inputs."""
    (u, ui), (v, vi) = (block_shape(tensors, k)[:2] for k in (1, 2))
    return (u, v), (ui, vi)


def rank(tensors: Tensors) -> int | None:
    """The rank of the blocks that are products; None where both are whole."""
    return rank_shown(tensors, "lokr_w2_b", "lokr_w1_b")


def ratio(tensors: Tensors) -> Tensor | float:
    """alpha/rank; 1 for two whole blocks."""
    by = rank(tensors)
    return 1.0 if by is None else scale(tensors, by)


def as_lora(tensors: Tensors) -> dict[str, Tensor]:
    """w1 ⊗ (a·b) = (w1 ⊗ a)·(1 ⊗ b): the same change as a LoRA, which can be divided by rows."""
    t = {key: value.float() for key, value in tensors.items()}
    w1 = block(t, 1)
    factors = {UP: torch.kron(w1, t["lokr_w2_a"]),
            DOWN: torch.kron(torch.eye(w1.shape[1]), t["lokr_w2_b"])}  # fmt: skip
    if "alpha" in t:  # divided by the rank, which is larger by w1's columns
        factors["alpha"] = t["alpha"] * w1.shape[1]
    return factors | {key: tensors[key] for key in (MAGNITUDE, BIAS) if key in tensors}


def peft_form(layers: Mapping[str, Tensors]) -> tuple[int, bool, dict[str, int]]:
    """(factor, whether left blocks are products, path -> rank) by which PEFT works the blocks'
    sizes out. `BenchError` names a layer for which there are none."""
    sizes = {path: split_sizes(tensors) for path, tensors in layers.items()}
    largest = max(size for (u, _), (ui, _) in sizes.values() for size in (u, ui))
    pairs = [pair for layer in sizes.values() for pair in layer]
    factor = next((f for f in (-1, *range(1, largest + 1)) if all(
        peft_split(u * v, f) == (u, v) for u, v in pairs)), None)  # fmt: skip
    both = any("lokr_w1_a" in tensors for tensors in layers.values())
    ranks_found = {path: peft_rank(tensors, sizes[path], both) for path, tensors in layers.items()}
    ranks = {path: rank for path, rank in ranks_found.items() if rank is not None}
    if factor is None or len(ranks) < len(ranks_found):
        path = next((p for p in ranks_found if p not in ranks), next(iter(layers)))
        raise BenchError(f"PEFT's LoKr has no factor and rank that give the blocks of {path}")
    return factor, both, ranks


def peft_split(n: int, factor: int) -> tuple[int, int]:
    """LyCORIS's split, except that a factor that divides n comes first even where it is larger."""
    exact = factor > 0 and n % factor == 0
    return (factor, n // factor) if exact else factorization(n, factor)


def peft_rank(tensors: Tensors, sizes: Sizes, both: bool) -> int | None:
    """A rank at which PEFT decomposes exactly the blocks that are products, or None."""
    (u, v), (ui, vi) = sizes
    least = [-(-max(pair) // 2) for pair, name in (((u, ui), "lokr_w1"), ((v, vi), "lokr_w2"))
             if name in tensors and (both or name == "lokr_w2")]  # fmt: skip
    given = [len(tensors[name]) for name in ("lokr_w1_b", "lokr_w2_b") if name in tensors]
    rank = given[0] if given else max(least, default=1)
    whole = {"lokr_w1": not (both and rank < max(u, ui) / 2), "lokr_w2": rank >= max(v, vi) / 2}
    fits = all((name in tensors) == is_whole for name, is_whole in whole.items())
    return rank if fits and len(set(given)) < 2 else None


def nearest(change: Tensor, factor: int) -> dict[str, Tensor]:
    """The w1 ⊗ w2 nearest to a change (o, i, ...), in the sum of squares.

    The blocks of the change, each a row of numbers, make a matrix whose best rank-1
    approximation is w1 and w2 (Van Loan and Pitsianis 1993)."""
    (u, v), (ui, vi) = (factorization(n, factor) for n in change.shape[:2])
    kernel = tuple(change.shape[2:])
    blocks = change.double().reshape(u, v, ui, vi, *kernel).transpose(1, 2)
    left, s, right = torch.linalg.svd(blocks.reshape(u * ui, -1), full_matrices=False)
    root = math.sqrt(float(s[0]))
    return {
        "lokr_w1": (root * left[:, :1]).reshape(u, ui).contiguous(),
        "lokr_w2": (root * right[:1]).reshape(v, vi, *kernel).contiguous(),
        "alpha": torch.tensor(1.0),
    }
