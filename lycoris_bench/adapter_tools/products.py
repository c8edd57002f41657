"""Low-rank changes as products up · down in float64, compared at the cost of their rank."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.base import BIAS, scale
from lycoris_bench.adapters.algorithms.factors import Factors, length
from lycoris_bench.adapters.algorithms.lora import DOWN, PLAIN, UP
from lycoris_bench.adapters.algorithms.recognise import recognise
from lycoris_bench.messages.errors import BenchError


def is_plain_lora(layer: Mapping[str, Tensor]) -> bool:
    """Whether the change is up · down and nothing else."""
    return {UP, DOWN} <= layer.keys() <= PLAIN | {BIAS}


def plain_factors(layer: Mapping[str, Tensor]) -> Factors:
    """(alpha/dim · up, down) as matrices in float64."""
    found = {key: value.double() for key, value in layer.items()}
    up, down = found[UP].flatten(1), found[DOWN].flatten(1)
    if up.shape[1] != len(down):
        raise BenchError(f"{UP} {tuple(up.shape)} and {DOWN} {tuple(down.shape)} have no "
                         "rank in common")  # fmt: skip
    return scale(found, len(down)) * up, down


def concatenated(products: Sequence[Factors]) -> Factors:
    """The sum of products up · down as one product: ups in columns, downs in rows."""
    return torch.cat([up for up, _ in products], 1), torch.cat([down for _, down in products])


def factors_of(layer: Mapping[str, Tensor]) -> Factors | None:
    """ΔW as an exact product by the structure of its tensors; None where it has none, where there
    is a bias update, and where the rank is so large that the whole matrix is cheaper."""
    if BIAS in layer:
        return None
    if is_plain_lora(layer):
        return plain_factors(layer)
    known = recognise(layer)
    by_structure = known is not None and not known[1].product_by_svd
    found = known[1].as_product(layer) if known and by_structure else None
    if found is None or 2 * found.rank > min(len(found.up), found.down.shape[1]):
        return None
    return found.up, found.down


def distance(one: Factors, two: Factors) -> float:
    """|one - two| of two products; for two roundings of the same factors it is computed from the
    differences of the factors, which loses no digits."""
    if one[0].shape == two[0].shape and one[1].shape == two[1].shape:
        up, down = _even(two, one)
        up_step, down_step = one[0] - up, one[1] - down
        if _much_less(up_step, one[0]) and _much_less(down_step, one[1]):
            steps = concatenated([_level((up_step, one[1])), _level((up, down_step))])
            return length(steps, torch.float32)  # an error is told in three digits
    return length(concatenated([one, (-two[0], two[1])]))


def _even(product: Factors, like: Factors) -> Factors:
    """The same product with each row of down scaled to the norm of that of `like`, since a scale
    may have been put on either side."""
    sizes = [torch.linalg.vector_norm(down, dim=1) for down in (like[1], product[1])]
    ratio = torch.where((sizes[0] > 0) & (sizes[1] > 0), sizes[0] / sizes[1], 1.0)
    ratio = torch.where(torch.isfinite(ratio) & (ratio > 0), ratio, 1.0)
    return product[0] / ratio, ratio[:, None] * product[1]


def _level(product: Factors) -> Factors:
    """The same product with up and down of equal norm, so that sums of several lose no digits."""
    one, two = (float(torch.linalg.vector_norm(side)) for side in product)
    ratio = math.sqrt(two / one) if one and two else 1.0
    return product[0] * ratio, product[1] / ratio


def _much_less(step: Tensor, value: Tensor) -> bool:
    return float(torch.linalg.vector_norm(step)) < 0.1 * float(torch.linalg.vector_norm(value))
