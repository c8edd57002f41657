"""VeRA (Kopiczko et al. 2024), a plug-in: ΔW = diag(b) · B · diag(d) · A, with A and B random and
frozen. All that is known of it is in this file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lycoris_bench.adapters.algorithms.base import Adapter, fit
from lycoris_bench.adapters.algorithms.fitting import sizes, with_shapes
from lycoris_bench.adapters.algorithms.options import RANK, Range, option
from lycoris_bench.messages.errors import BenchError

B, D, SEED = "vera_lambda_b", "vera_lambda_d", "vera_seed"
SEEDS = Range(0, 2**31, whole=True)


class VeRA(Adapter):
    """ΔW = diag(b) · B · diag(d) · A, of rank dim at most; only b (o) and d (dim) are trained.

    A (dim, i·k²) and B (o, dim) are drawn from the seed that the file keeps. b is zero at the
    start."""

    marks = (B, D, SEED)
    names = frozenset(marks)
    integers: ClassVar[Mapping[str, Range]] = {SEED: SEEDS}
    linear = frozenset((B,))

    @dataclass(frozen=True, kw_only=True)
    class Options:
        """The rank of A and B, and where they are drawn from."""

        dim: int = option(8, RANK)
        projection_seed: int = option(0, SEEDS)

    def build(
        self, weight: Tensor, bias: Tensor | None, generator: torch.Generator | None, options: Any
    ) -> None:
        self.seed = torch.tensor(options.projection_seed)
        self.b = nn.Parameter(torch.zeros(len(weight), device=weight.device))
        self.d = nn.Parameter(torch.full((options.dim,), 0.1, device=weight.device))

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        return [{"dim": 30}, {"dim": 40, "projection_seed": 7}]

    def tensors(self) -> dict[str, Tensor]:
        return {B: self.b, D: self.d, SEED: self.seed}

    @staticmethod
    def delta_from(tensors: Mapping[str, Tensor], weight: Tensor) -> Tensor:
        b, d = tensors[B], tensors[D]
        generator = torch.Generator().manual_seed(int(tensors[SEED]))
        right = torch.randn(len(d), weight[0].numel(), generator=generator)
        left = torch.randn(len(b), len(d), generator=generator)
        left, right = (side.to(weight.device, b.dtype) for side in (left, right))
        return fit((b[:, None] * left) @ (d[:, None] * right), weight)

    @staticmethod
    def depends_on_weight(tensors: Mapping[str, Tensor]) -> bool:
        return False

    @staticmethod
    def weight_shape(tensors: Mapping[str, Tensor]) -> torch.Size | None:
        for name, count in ((B, 1), (D, 1), (SEED, 0)):
            if len(sizes(tensors, name, count)) != count:
                raise BenchError(
                    f"{with_shapes(tensors, name)} has too many sizes; {count} is right"
                )
        return None  # the number of inputs is not known

    @staticmethod
    def rank(tensors: Mapping[str, Tensor]) -> int | None:
        return len(tensors[D])

    def shrink(self, ratio: Tensor) -> None:
        self.b.mul_(ratio)
