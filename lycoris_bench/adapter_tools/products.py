"""Low-rank changes as products up · down in float64, compared at the cost of their rank."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.base import BIAS, scale
from lycoris_bench.adapters.algorithms.dora import MAGNITUDE
from lycoris_bench.adapters.algorithms.lora import DOWN, MID, UP
from lycoris_bench.adapters.formats.low_rank import exact
from lycoris_bench.messages.errors import BenchError

CANCELLED = 1e-4  # of the largest possible square: below, its digits are not enough
ROUNDING = 1e-16
Factors = tuple[Tensor, Tensor]  # (o, r) and (r, i·k²)


def is_plain_lora(layer: Mapping[str, Tensor]) -> bool:
    """Whether the change is up · down and nothing else."""
    return {UP, DOWN} <= layer.keys() <= {UP, DOWN, "alpha", BIAS}


def plain_factors(layer: Mapping[str, Tensor]) -> Factors:
    """(alpha/dim · up, down) as matrices in float64."""
    found = {key: value.double() for key, value in layer.items()}
    up, down = found[UP].flatten(1), found[DOWN].flatten(1)
    if up.shape[1] != len(down):
        raise BenchError(f"{UP} {tuple(up.shape)} and {DOWN} {tuple(down.shape)} have no "
                         "rank in common")  # fmt: skip
    return scale(found, len(down)) * up, down


def beside(products: Sequence[Factors]) -> Factors:
    """The sum of products as one: ups side by side, downs one above the other."""
    return torch.cat([up for up, _ in products], 1), torch.cat([down for _, down in products])


def factors_of(layer: Mapping[str, Tensor]) -> Factors | None:
    """ΔW as the product that it is by its structure, to the last digit: plain LoRA, LoRA in Tucker
    form and LoHa. None for others, beside a bias, and where the rank is so large that the whole
    matrix is the shorter way."""
    if BIAS in layer or MAGNITUDE in layer:
        return None
    if is_plain_lora(layer):
        return plain_factors(layer)
    found = exact(layer) if {MID, "hada_w1_a"} & layer.keys() else None
    if found is None or 2 * found.rank > min(len(found.up), found.down.shape[1]):
        return None
    return found.up, found.down


def length(product: Factors, precision: torch.dtype = torch.float64) -> float:
    """|up · down|, the root of the sum of squares: √tr((upᵀ·up)(down·downᵀ)), and by the triangles
    of both where much cancels or leaves the range, as squares have half of the digits.

    >>> length((torch.tensor([[3.0], [4.0]]), torch.tensor([[1.0, 0.0]])))
    5.0
    """
    up, down = (side.to(precision) for side in product)
    left, right = (up.T @ up).double(), (down @ down.T).double()
    square, sizes = float((left * right).sum()), (float(left.trace()), float(right.trace()))
    in_range = min(sizes) > torch.finfo(precision).tiny / ROUNDING
    if in_range and CANCELLED * sizes[0] * sizes[1] < square < math.inf:
        return math.sqrt(square)
    one = torch.linalg.qr(product[0].double(), mode="r")[1]
    two = torch.linalg.qr(product[1].double().T, mode="r")[1]
    return float(torch.linalg.vector_norm(one @ two.T))


def apart(one: Factors, two: Factors) -> float:
    """|one - two|. Of two roundings of the same factors it is the sum of two small products."""
    if one[0].shape == two[0].shape and one[1].shape == two[1].shape:
        up, down = _even(two, one)
        up_step, down_step = one[0] - up, one[1] - down
        if _much_less(up_step, one[0]) and _much_less(down_step, one[1]):
            steps = beside([_level((up_step, one[1])), _level((up, down_step))])
            return length(steps, torch.float32)  # an error is told in three digits
    return length(beside([one, (-two[0], two[1])]))


def _even(product: Factors, like: Factors) -> Factors:
    """The same product, each row of down as long as that of `like`: who made it may have put a
    factor on either side."""
    sizes = [torch.linalg.vector_norm(down, dim=1) for down in (like[1], product[1])]
    ratio = torch.where((sizes[0] > 0) & (sizes[1] > 0), sizes[0] / sizes[1], 1.0)
    ratio = torch.where(torch.isfinite(ratio) & (ratio > 0), ratio, 1.0)
    return product[0] / ratio, ratio[:, None] * product[1]


def _level(product: Factors) -> Factors:
    """The same product with sides of one length, so that none of several hides another."""
    one, two = (float(torch.linalg.vector_norm(side)) for side in product)
    ratio = math.sqrt(two / one) if one and two else 1.0
    return product[0] * ratio, product[1] / ratio


def _much_less(step: Tensor, value: Tensor) -> bool:
    return float(torch.linalg.vector_norm(step)) < 0.1 * float(torch.linalg.vector_norm(value))
