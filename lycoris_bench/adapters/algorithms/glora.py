"""GLoRA: ΔW = alpha/dim · (W·a1·a2 + b1·b2), a change made of W's own columns and a free one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.base import (
    BIAS,
    Adapter,
    Bias,
    Generator,
    Span,
    Tensors,
    fit,
    kaiming,
    rank_of,
    scale,
    zeros,
)
from lycoris_bench.adapters.algorithms.fitting import divided, one_each, sizes, with_shapes
from lycoris_bench.adapters.algorithms.options import Factored
from lycoris_bench.adapters.algorithms.rotations import SWAPPED
from lycoris_bench.messages.errors import BenchError

A1, A2, B1, B2 = "a1.weight", "a2.weight", "b1.weight", "b2.weight"


class GLoRA(Adapter):
    """ΔW = alpha/dim · (W·a1·a2 + b1·b2) (Chavan et al. 2023, as LyCORIS has it).

    a1 (i, dim) and a2 (dim, i) act on W's input channels, the same for every place of a kernel;
    b1 is (o, dim), b2 (dim, i·k²). a2 and b2 are zero at the start. For convolutions files have
    them as (i, dim, 1, 1), (dim, i, 1, 1), (o, dim, 1, 1), (dim, i, k, k); both are read. In a
    grouped convolution i counts the inputs of one group, and all groups share a1·a2. LyCORIS
    1.x had a1 and a2, and b1 and b2, the other way round: shapes tell, and where they cannot
    (o = i = dim) it is the present layout."""

    marks = (A1, A2, B1, B2)
    names = frozenset((*marks, "alpha"))
    scaled = known_elsewhere = True
    alpha: Tensor

    @dataclass(frozen=True, kw_only=True)
    class Options(Factored):
        """Those of all factored algorithms."""

    def build(self, weight: Tensor, bias: Bias, generator: Generator, options: Options) -> None:
        rank, ratio = rank_of(weight, options)
        random = options.use_scalar
        outputs, inputs, *kernel = weight.shape
        ones = [1 for _ in kernel]
        self.register_buffer("alpha", ratio, persistent=False)
        self.a1 = kaiming(weight, generator, inputs, rank, *ones)
        self.b1 = kaiming(weight, generator, outputs, rank, *ones)
        a2, b2 = (rank, inputs, *ones), (rank, inputs, *kernel)
        self.a2 = kaiming(weight, generator, *a2) if random else zeros(weight, *a2)
        self.b2 = kaiming(weight, generator, *b2) if random else zeros(weight, *b2)
        self.scalar = zeros(weight) if random else None

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        rank = {"dim": 3, "alpha": 2}
        return [rank, {**rank, "rs_lora": True, "use_scalar": True}]

    def tensors(self) -> dict[str, Tensor]:
        a2 = self.a2 if self.scalar is None else self.a2 * self.scalar
        b2 = self.b2 if self.scalar is None else self.b2 * self.scalar
        return {A1: self.a1, A2: a2, B1: self.b1, B2: b2, "alpha": self.alpha}

    @staticmethod
    def delta_from(tensors: Tensors, weight: Tensor) -> Tensor:
        a1, a2, b1, b2 = _present(tensors, weight)
        columns = weight.to(a1.dtype).reshape(*weight.shape[:2], -1)
        of_weight = torch.einsum("oik,ir,rj->ojk", columns, a1, a2)
        change = fit(of_weight.flatten(1), weight) + fit(b1 @ b2, weight)
        return scale(tensors, rank=len(a2)) * change

    @staticmethod
    def weight_shape(tensors: Tensors) -> torch.Size | None:
        one_each(tensors, BIAS, GLoRA.sizes(tensors)[0], "outputs")
        return None  # the kernel's places are not known, as a1·a2 acts on W

    @classmethod
    def sizes(cls, tensors: Tensors) -> tuple[int, int]:
        for names in (cls.marks, (A2, A1, B2, B1)):
            if outputs := _outputs(tensors, *names):
                return outputs, len(tensors[names[0]])
        raise BenchError(f"{with_shapes(tensors, *cls.marks)} have no rank in common")

    @staticmethod
    def rank(tensors: Tensors) -> int | None:
        b2 = tensors.get(B2)
        return min(b2.shape[:2]) if b2 is not None and b2.dim() > 1 else None

    @classmethod
    def rows(cls, tensors: Tensors, spans: Sequence[Span]) -> dict[str, Tensor]:
        return divided(tensors, spans, B1)

    @classmethod
    def comfyui_refuses(cls, tensors: Tensors, swapped: bool) -> str | None:
        return f"computes glora {SWAPPED}" if swapped else None

    def shrink(self, ratio: Tensor) -> None:
        self.a2.mul_(ratio)
        self.b2.mul_(ratio)


def _outputs(tensors: Tensors, *names: str) -> int:
    """o of a1 (i, r), a2 (r, i), b1 (o, r), b2 (r, i·k²) in this order; 0 for other shapes."""
    a1, a2, b1, b2 = ((s[0], math.prod(s[1:])) for s in (sizes(tensors, name) for name in names))
    fits = a2 == a1[::-1] and b1[1] == b2[0] == a1[1] and b2[1] % a1[0] == 0
    return b1[0] if fits else 0


def _present(tensors: Tensors, weight: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """a1, a2, b1, b2 as matrices in the present layout, whichever the tensors have."""
    a1, a2, b1, b2 = (tensors[name].flatten(1) for name in GLoRA.marks)
    (outputs, inputs), columns = weight.shape[:2], weight[0].numel()
    for matrices in ((a1, a2, b1, b2), (a2, a1, b2, b1)):
        rank = len(matrices[1])
        expected = [(inputs, rank), (rank, inputs), (outputs, rank), (rank, columns)]
        if [tuple(matrix.shape) for matrix in matrices] == expected:
            return matrices
    shapes = ", ".join(f"{name} {tuple(tensors[name].shape)}" for name in GLoRA.marks)
    raise BenchError(f"{shapes} do not fit a weight of shape {tuple(weight.shape)}")
