"""Plain LoRAs as products up · down in float64, compared at the cost of their rank."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lycoris_bench.adapters.base import BIAS, scale
from lycoris_bench.adapters.lora import DOWN, UP
from lycoris_bench.errors import BenchError

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


def length(product: Factors) -> float:
    """|up · down|, the root of the sum of squares, by the triangles of both.

    >>> length((torch.tensor([[3.0], [4.0]]), torch.tensor([[1.0, 0.0]])))
    5.0
    """
    up, down = product
    left = torch.linalg.qr(up.double(), mode="r")[1]
    right = torch.linalg.qr(down.double().T, mode="r")[1]
    return float(torch.linalg.vector_norm(left @ right.T))


def apart(one: Factors, two: Factors) -> float:
    """|one - two|."""
    return length(beside([one, (-two[0], two[1])]))
