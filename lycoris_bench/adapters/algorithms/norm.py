"""Norm layers, which all algorithms train in the same way: shifts of weight and bias."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lycoris_bench.adapters.algorithms.base import Adapter, Bias, Generator, Span, Tensors, fit
from lycoris_bench.adapters.algorithms.fitting import divided, same, sizes

W_NORM, B_NORM = "w_norm", "b_norm"


class NormShift(Adapter):
    """w' = w + w_norm and b' = b + b_norm for LayerNorm and GroupNorm; both start at 0."""

    marks = (W_NORM, B_NORM)
    names = linear = frozenset(marks)
    vectors = known_elsewhere = True
    matrices = False

    def build(self, weight: Tensor, bias: Bias, generator: Generator, options: Any) -> None:
        self.w_norm = nn.Parameter(torch.zeros(weight.shape, device=weight.device))
        self.b_norm = nn.Parameter(torch.zeros(weight.shape, device=weight.device))

    def tensors(self) -> dict[str, Tensor]:
        return {W_NORM: self.w_norm, B_NORM: self.b_norm}

    @staticmethod
    def delta_from(tensors: Tensors, weight: Tensor) -> Tensor:
        if W_NORM not in tensors:
            return torch.zeros_like(weight, dtype=torch.float32)
        return fit(tensors[W_NORM], weight)

    @staticmethod
    def depends_on_weight(tensors: Tensors) -> bool:
        return False

    @staticmethod
    def weight_shape(tensors: Tensors) -> torch.Size | None:
        of_weight, of_bias = (
            sizes(tensors, name, 1) if name in tensors else None for name in NormShift.marks
        )
        if of_weight is None or of_bias is None:
            return of_bias if of_weight is None else of_weight
        return same(tensors, of_weight, of_bias, *NormShift.marks)

    @staticmethod
    def bias_from(tensors: Tensors) -> Tensor | None:
        return tensors.get(B_NORM)

    @classmethod
    def rows(cls, tensors: Tensors, spans: Sequence[Span]) -> dict[str, Tensor]:
        return divided(tensors, spans, *cls.marks)

    @classmethod
    def comfyui_refuses(cls, tensors: Tensors, swapped: bool) -> str | None:
        return None

    def shrink(self, ratio: Tensor) -> None:
        self.w_norm.mul_(ratio)
