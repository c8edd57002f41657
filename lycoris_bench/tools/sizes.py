"""How many singular values a file of a given size can hold, over all layers at once."""

import torch
from torch import Tensor

HALF = 2  # bytes of a number


def within(values: list[Tensor], costs: list[int], budget: int) -> list[int]:
    """The rank of each layer when the largest singular values of all are kept until `budget`
    bytes are spent; `costs` are bytes per rank. One threshold for all layers: the water level.

    >>> within([torch.tensor([5.0, 1.0]), torch.tensor([4.0, 3.0])], [10, 20], 50)
    [1, 2]
    """
    owners = torch.cat([torch.full((len(v),), n) for n, v in enumerate(values)])
    order = torch.cat(values).argsort(descending=True, stable=True)
    spent = torch.tensor(costs)[owners[order]].cumsum(0)
    kept = owners[order][spent <= budget]
    return torch.bincount(kept, minlength=len(values)).tolist()
