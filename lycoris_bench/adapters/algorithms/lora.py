"""LoRA (LoCon on convolutions): ΔW = alpha/dim · up·down."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.base import (
    Adapter,
    Tensors,
    fit,
    is_kernel,
    kaiming,
    rank_of,
    scale,
    zeros,
)
from lycoris_bench.adapters.algorithms.dora import MAGNITUDE, decompose, magnitude
from lycoris_bench.adapters.algorithms.fitting import product, said, sizes
from lycoris_bench.adapters.algorithms.options import DECOMPOSED, FACTORED, Switch
from lycoris_bench.messages.errors import BenchError

UP, MID, DOWN = "lora_up.weight", "lora_mid.weight", "lora_down.weight"


class LoRA(Adapter):
    """ΔW = alpha/dim · up·down, with W unrolled to (o, i·k²) (Hu et al. 2021; LyCORIS, 3.1).

    down is (dim, i) or (dim, i, k, k), random; up is (o, dim) or (o, dim, 1, 1), zero. In Tucker
    form a kernel is mid (dim, dim, k, k) between up and a down of (dim, i, 1, 1)."""

    marks = (UP, DOWN)
    names = frozenset((UP, MID, DOWN, MAGNITUDE, "alpha"))
    allowed: ClassVar = {**FACTORED, **DECOMPOSED, "use_tucker": Switch()}
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
        rs_lora: bool = False,
        use_scalar: bool = False,
        use_tucker: bool = False,
        dora_wd: bool = False,
        wd_on_output: bool = False,
    ) -> None:
        super().__init__()
        rank, ratio = rank_of(weight, dim, alpha, conv_dim, conv_alpha, rs_lora)
        outputs, inputs, *kernel = weight.shape
        ones = [1 for _ in kernel]
        tucker = use_tucker and is_kernel(weight)
        self.register_buffer("alpha", ratio, persistent=False)
        self.down = kaiming(weight, generator, rank, inputs, *(ones if tucker else kernel))
        self.mid = kaiming(weight, generator, rank, rank, *kernel) if tucker else None
        last = (outputs, rank, *ones)
        self.up = kaiming(weight, generator, *last) if use_scalar else zeros(weight, *last)
        self.scalar = zeros(weight) if use_scalar else None
        self.magnitude = magnitude(weight, wd_on_output) if dora_wd else None

    def tensors(self) -> dict[str, Tensor]:
        up = self.up if self.scalar is None else self.up * self.scalar
        found = {DOWN: self.down, MID: self.mid, UP: up, MAGNITUDE: self.magnitude}
        return {k: v for k, v in {**found, "alpha": self.alpha}.items() if v is not None}

    @staticmethod
    def delta_from(tensors: Tensors, weight: Tensor) -> Tensor:
        up, down = tensors[UP].flatten(1), tensors[DOWN].flatten(1)
        up = scale(tensors, rank=len(down)) * up
        if MID in tensors:
            change = torch.einsum("or,rsk,si->oik", up, tensors[MID].flatten(2), down)
            return decompose(fit(change.flatten(1), weight), tensors, weight)
        return decompose(fit(up @ down, weight), tensors, weight)

    @staticmethod
    def shape_from(tensors: Tensors) -> torch.Size | None:
        if MID not in tensors:
            outputs, _ = product(tensors, UP, DOWN)
            return torch.Size((outputs, *tensors[DOWN].shape[1:]))
        up, mid, down = (sizes(tensors, name, k) for name, k in ((UP, 2), (MID, 3), (DOWN, 2)))
        if tuple(mid[:2]) != (math.prod(up[1:]), down[0]):
            raise BenchError(f"{said(tensors, UP, MID, DOWN)} have no rank in common")
        return torch.Size((up[0], math.prod(down[1:]), *mid[2:]))

    def shrink(self, ratio: float) -> None:
        self.up.mul_(ratio)
