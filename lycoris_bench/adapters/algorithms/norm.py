"""Norm layers, which every algorithm trains alike: their weight and bias are shifted."""

import torch
from torch import Tensor, nn

from lycoris_bench.adapters.algorithms.base import Adapter, Tensors, fit
from lycoris_bench.adapters.algorithms.fitting import same, sizes


class NormShift(Adapter):
    """w' = w + w_norm and b' = b + b_norm for LayerNorm and GroupNorm; both start at 0."""

    marks = ("w_norm", "b_norm")
    names = frozenset(marks)

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.w_norm = nn.Parameter(torch.zeros(weight.shape, device=weight.device))
        self.b_norm = nn.Parameter(torch.zeros(weight.shape, device=weight.device))

    def tensors(self) -> dict[str, Tensor]:
        return {"w_norm": self.w_norm, "b_norm": self.b_norm}

    @staticmethod
    def delta_from(tensors: Tensors, weight: Tensor) -> Tensor:
        if "w_norm" not in tensors:
            return torch.zeros_like(weight, dtype=torch.float32)
        return fit(tensors["w_norm"], weight)

    @staticmethod
    def shape_from(tensors: Tensors) -> torch.Size | None:
        one, two = (
            sizes(tensors, name, 1) if name in tensors else None for name in NormShift.marks
        )
        if one is None or two is None:
            return two if one is None else one
        return same(tensors, one, two, *NormShift.marks)

    @staticmethod
    def bias_from(tensors: Tensors) -> Tensor | None:
        return tensors.get("b_norm")

    def shrink(self, ratio: float) -> None:
        self.w_norm.mul_(ratio)
