"""LoRA (LoCon on convolutions): ΔW = alpha/dim · up·down."""

import torch
from torch import Tensor

from lycoris_bench.adapters.base import Adapter, Tensors, fit, kaiming, rank_of, scale, zeros
from lycoris_bench.adapters.ranges import RANK


class LoRA(Adapter):
    """ΔW = alpha/dim · up·down, with W unrolled to (o, i·k²) (Hu et al. 2021; LyCORIS, 3.1).

    down is (dim, i) or (dim, i, k, k), random; up is (o, dim) or (o, dim, 1, 1), zero."""

    marks = ("lora_up.weight", "lora_down.weight")
    names = frozenset((*marks, "alpha"))
    allowed = RANK
    alpha: Tensor

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None = None,
        generator: torch.Generator | None = None,
        *,
        dim: int = 8,
        alpha: float | None = 4,
        conv_dim: int | None = None,
        conv_alpha: float | None = None,
    ) -> None:
        super().__init__()
        self.check(dim=dim, alpha=alpha, conv_dim=conv_dim, conv_alpha=conv_alpha)
        rank, ratio = rank_of(weight, dim, alpha, conv_dim, conv_alpha)
        outputs, *inputs = weight.shape
        self.register_buffer("alpha", ratio, persistent=False)
        self.down = kaiming(weight, generator, rank, *inputs)
        self.up = zeros(weight, outputs, rank, *(1 for _ in inputs[1:]))

    def tensors(self) -> dict[str, Tensor]:
        return {
            "lora_down.weight": self.down,
            "lora_up.weight": self.up,
            "alpha": self.alpha,
        }

    @staticmethod
    def delta_from(tensors: Tensors, weight: Tensor) -> Tensor:
        up, down = tensors["lora_up.weight"].flatten(1), tensors["lora_down.weight"].flatten(1)
        return fit((scale(tensors, rank=len(down)) * up) @ down, weight)
