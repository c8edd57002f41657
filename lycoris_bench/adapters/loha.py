"""LoHa: ΔW = alpha/dim · (w1a·w1b) ⊙ (w2a·w2b), of rank up to dim²."""

import torch
from torch import Tensor

from lycoris_bench.adapters.base import Adapter, Tensors, fit, normal, rank_of, scale, zeros
from lycoris_bench.adapters.ranges import RANK


class LoHa(Adapter):
    """ΔW = alpha/dim · (w1a·w1b) ⊙ (w2a·w2b), with W unrolled to (o, i·k²) (LyCORIS, 3.2).

    The a are (o, dim), the b (dim, i·k²), also for convolutions; w2a is zero at the start."""

    marks = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
    names = frozenset((*marks, "alpha"))
    allowed = RANK
    alpha: Tensor

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None = None,
        generator: torch.Generator | None = None,
        *,
        dim: int = 4,
        alpha: float | None = 2,
        conv_dim: int | None = None,
        conv_alpha: float | None = None,
    ) -> None:
        super().__init__()
        rank, ratio = rank_of(weight, dim, alpha, conv_dim, conv_alpha)
        outputs, inputs = weight.flatten(1).shape
        self.register_buffer("alpha", ratio, persistent=False)
        self.w1a = normal(weight, generator, 0.1, outputs, rank)
        self.w1b = normal(weight, generator, 1.0, rank, inputs)
        self.w2a = zeros(weight, outputs, rank)
        self.w2b = normal(weight, generator, 1.0, rank, inputs)

    def tensors(self) -> dict[str, Tensor]:
        return {
            "hada_w1_a": self.w1a,
            "hada_w1_b": self.w1b,
            "hada_w2_a": self.w2a,
            "hada_w2_b": self.w2b,
            "alpha": self.alpha,
        }

    @staticmethod
    def delta_from(tensors: Tensors, weight: Tensor) -> Tensor:
        w1a, w1b, w2a, w2b = (tensors[name] for name in LoHa.marks)
        first = (scale(tensors, rank=len(w1b)) * w1a) @ w1b
        return fit(first * (w2a @ w2b), weight)
