"""DyLoRA: a LoRA whose first rows are a LoRA of smaller rank, at every multiple of block_size."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.base import (
    Adapter,
    Bias,
    Generator,
    Tensors,
    kaiming,
    rank_of,
    zeros,
)
from lycoris_bench.adapters.algorithms.lora import DOWN, UP, LoRA
from lycoris_bench.adapters.algorithms.options import RANK, Ranked, option
from lycoris_bench.messages.errors import BenchError


class DyLoRA(Adapter):
    """ΔW = alpha/dim · up[:, :n]·down[:n], n = block_size, 2·block_size, ..., dim in turn
    (Valipour et al. 2023).

    Each training step draws n and moves the last block of that prefix alone. The ratio is
    alpha/dim for every n, so that a file cut to its first n rows, with alpha·n/dim, is exactly
    what was trained. Files are plain LoRA, of full rank, and so is what is drawn with."""

    marks = ()  # a file is read as LoRA
    names = LoRA.names
    alpha: Tensor

    @dataclass(frozen=True, kw_only=True)
    class Options(Ranked):
        """A rank, and how many of its rows are a block."""

        block_size: int = option(4, RANK)

    def build(self, weight: Tensor, bias: Bias, generator: Generator, options: Options) -> None:
        rank, ratio = rank_of(weight, options)
        _divide(rank, options.block_size, "dim")
        outputs, inputs, *kernel = weight.shape
        self.block_size = options.block_size
        self.register_buffer("alpha", ratio, persistent=False)
        self.down = kaiming(weight, generator, rank, inputs, *kernel)
        self.up = zeros(weight, outputs, rank, *(1 for _ in kernel))

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        return [{"dim": 4, "alpha": 2, "block_size": 2}]

    @classmethod
    def check(cls, **options: Any) -> None:
        super().check(**options)
        block = options.get("block_size", 4)
        _divide(options.get("dim", 8), block, "dim")
        _divide(options.get("conv_dim") or block, block, "conv_dim")

    def tensors(self) -> dict[str, Tensor]:
        return {DOWN: self.down, UP: self.up, "alpha": self.alpha}

    def drawn(self) -> dict[str, Tensor]:
        """A random prefix of blocks; gradients reach its last block."""
        rank, size = len(self.down), self.block_size
        start = size * int(torch.randint(rank // size, ()))
        end = start + size
        down = torch.cat([self.down[:start].detach(), self.down[start:end]])
        up = torch.cat([self.up[:, :start].detach(), self.up[:, start:end]], dim=1)
        return {DOWN: down, UP: up, "alpha": self.alpha * end / rank}

    @staticmethod
    def delta_from(tensors: Tensors, weight: Tensor) -> Tensor:
        return LoRA.delta_from(tensors, weight)

    def shrink(self, ratio: Tensor) -> None:
        self.up.mul_(ratio)


def _divide(dim: int, block_size: int, name: str) -> None:
    if dim % block_size:
        above = dim + block_size - dim % block_size
        raise BenchError(
            f"{name} is {dim}, which block_size {block_size} does not divide; "
            f"{name} = {above} would do"
        )
