"""Native fine-tuning: the layer's own weight and bias are trained; files hold the difference."""

import torch
from torch import Tensor, nn

from lycoris_bench.adapters.algorithms.base import BIAS, Adapter, Tensors, fit
from lycoris_bench.adapters.algorithms.fitting import sizes


class Full(Adapter):
    """ΔW = trained weight - original weight, and the same for the bias.

    The absolute values are the parameters, so that weight decay acts on them as it does when
    a model is trained without any adapter."""

    marks = ("diff", BIAS)
    names = frozenset(marks)
    original: Tensor
    original_bias: Tensor | None

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("original", weight.detach(), persistent=False)
        self.register_buffer(
            "original_bias", None if bias is None else bias.detach(), persistent=False
        )
        self.weight = nn.Parameter(weight.detach().float().clone())
        self.bias = None if bias is None else nn.Parameter(bias.detach().float().clone())

    def tensors(self) -> dict[str, Tensor]:
        found = {"diff": self.weight - self.original.float()}
        if self.bias is not None and self.original_bias is not None:
            found[BIAS] = self.bias - self.original_bias.float()
        return found

    @staticmethod
    def delta_from(tensors: Tensors, weight: Tensor) -> Tensor:
        if "diff" not in tensors:  # a file may change the bias alone
            return torch.zeros_like(weight, dtype=torch.float32)
        return fit(tensors["diff"], weight)

    @staticmethod
    def shape_from(tensors: Tensors) -> torch.Size | None:
        return sizes(tensors, "diff" if "diff" in tensors else BIAS, 1)

    def shrink(self, ratio: float) -> None:
        self.weight.lerp_(self.original.float(), 1 - ratio)
