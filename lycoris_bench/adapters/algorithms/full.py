"""Full fine-tuning: the layer's own weight and bias are trained; files hold the difference."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lycoris_bench.adapters.algorithms.base import (
    BIAS,
    Adapter,
    Bias,
    Generator,
    Span,
    Tensors,
    fit,
)
from lycoris_bench.adapters.algorithms.fitting import divided, sizes

DIFF = "diff"


class Full(Adapter):
    """ΔW = trained weight - original weight, and the same for the bias.

    The absolute values are the parameters, so that weight decay acts on them as it does when
    a model is trained without any adapter."""

    marks = (DIFF, BIAS)
    names = frozenset(marks)
    linear = frozenset((DIFF,))
    vectors = known_elsewhere = True
    original: Tensor
    original_bias: Tensor | None

    def build(self, weight: Tensor, bias: Bias, generator: Generator, options: Any) -> None:
        self.register_buffer("original", weight.detach(), persistent=False)
        self.register_buffer(
            "original_bias", None if bias is None else bias.detach(), persistent=False
        )
        # the optimizer's fused step takes all tensors for contiguous, also those of a saved state
        own = weight.detach().float().clone(memory_format=torch.contiguous_format)
        self.weight = nn.Parameter(own)
        self.bias = None if bias is None else nn.Parameter(bias.detach().float().clone())

    def tensors(self) -> dict[str, Tensor]:
        tensors = {DIFF: self.weight - self.original.float()}
        if self.bias is not None and self.original_bias is not None:
            tensors[BIAS] = self.bias - self.original_bias.float()
        return tensors

    def moved(self, tensors: Tensors, weight: Tensor) -> Tensor | None:
        return self.weight if self.strength == 1 and weight.dtype == torch.float32 else None

    @staticmethod
    def delta_from(tensors: Tensors, weight: Tensor) -> Tensor:
        if DIFF not in tensors:  # a file may change the bias alone
            return torch.zeros_like(weight, dtype=torch.float32)
        return fit(tensors[DIFF], weight)

    @staticmethod
    def depends_on_weight(tensors: Tensors) -> bool:
        return False

    @staticmethod
    def weight_shape(tensors: Tensors) -> torch.Size | None:
        return sizes(tensors, DIFF if DIFF in tensors else BIAS, 1)

    @classmethod
    def rows(cls, tensors: Tensors, spans: Sequence[Span]) -> dict[str, Tensor]:
        return divided(tensors, spans, DIFF)

    @classmethod
    def comfyui_refuses(cls, tensors: Tensors, swapped: bool) -> str | None:
        return None

    def shrink(self, ratio: Tensor) -> None:
        self.weight.lerp_(self.original.float(), 1 - ratio)
