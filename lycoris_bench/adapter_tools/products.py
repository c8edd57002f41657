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
    exact = {key: value.double() for key, value in layer.items()}
    up, down = exact[UP].flatten(1), exact[DOWN].flatten(1)
    if up.shape[1] != len(down):
        raise BenchError(f"{UP} {tuple(up.shape)} and {DOWN} {tuple(down.shape)} have no "
                         "rank in common")  # fmt: skip
    return scale(exact, len(down)) * up, down


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
    recognised = recognise(layer)
    by_structure = recognised is not None and not recognised[1].product_by_svd
    product = recognised[1].as_product(layer) if recognised and by_structure else None
    if product is None or 2 * product.rank > min(len(product.up), product.down.shape[1]):
        return None
    return product.up, product.down


def distance(first: Factors, second: Factors) -> float:
    """|first - second| of two products; where both are roundings of the same factors it is computed
    from the differences of the factors, which loses no digits."""
    if first[0].shape == second[0].shape and first[1].shape == second[1].shape:
        up, down = _even(second, first)
        up_step, down_step = first[0] - up, first[1] - down
        if _much_less(up_step, first[0]) and _much_less(down_step, first[1]):
            steps = concatenated([_level((up_step, first[1])), _level((up, down_step))])
            return length(steps, torch.float32)  # an error is told in three digits
    return length(concatenated([first, (-second[0], second[1])]))


def _even(product: Factors, like: Factors) -> Factors:
    """The same product with each row of down scaled to the norm of that of `like`, since a scale
    may have been put on either side."""
    sizes = [torch.linalg.vector_norm(down, dim=1) for down in (like[1], product[1])]
    ratio = torch.where((sizes[0] > 0) & (sizes[1] > 0), sizes[0] / sizes[1], 1.0)
    ratio = torch.where(torch.isfinite(ratio) & (ratio > 0), ratio, 1.0)
    return product[0] / ratio, ratio[:, None] * product[1]


def _level(product: Factors) -> Factors:
    """The same product with up and down of equal norm, so that sums of several lose no digits."""
    up_norm, down_norm = (float(torch.linalg.vector_norm(side)) for side in product)
    ratio = math.sqrt(down_norm / up_norm) if up_norm and down_norm else 1.0
    return product[0] * ratio, product[1] / ratio


def _much_less(step: Tensor, value: Tensor) -> bool:
    return float(torch.linalg.vector_norm(step)) < 0.1 * float(torch.linalg.vector_norm(value))
