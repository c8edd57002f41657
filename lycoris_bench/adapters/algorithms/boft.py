"""BOFT: the rows of W are rotated in stages, each over pairs from farther apart (a butterfly)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lycoris_bench.adapters.algorithms.base import BIAS, Bias, Generator, Tensors
from lycoris_bench.adapters.algorithms.fitting import one_each, sizes, with_shapes
from lycoris_bench.adapters.algorithms.options import RANK, option
from lycoris_bench.adapters.algorithms.rotations import (
    BLOCKS,
    RESCALE,
    Rotation,
    Turned,
    rescale,
    turn,
)
from lycoris_bench.messages.errors import BenchError

DIFFERS = "BOFT, which scales biases as well"


class BOFT(Rotation):
    """W' = s ⊙ R_p ⋯ R_1·R_0·W, each R_s block-diagonal after a swap of rows (Liu et al. 2024).

    `oft_blocks` (p+1, n, b, b) with o = n·b, n = 2^p and b the largest even number up to dim for
    which there is such an n. Each block is the Cayley transform of B - Bᵀ (rotations.py), `alpha`
    the constraint over all of them, `rescale` s. Strength acts on W' - W as a whole."""

    title = "boft"
    marks = (BLOCKS,)
    names = frozenset((BLOCKS, RESCALE, "alpha"))
    refused: ClassVar = {"boft_R": f"PEFT's {DIFFERS}; merge it with PEFT"}
    peft, peft_differs = "BOFT", DIFFERS

    @dataclass(frozen=True, kw_only=True)
    class Options(Turned):
        """Those of all rotations."""

        dim: int = option(12, RANK)

    def build(self, weight: Tensor, bias: Bias, generator: Generator, options: Options) -> None:
        size = block_size(len(weight), options.dim)
        count = len(weight) // size
        stages = count.bit_length()  # p + 1
        self.start(weight, options, stages, count, size, size)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        return [{"dim": 10}, {"dim": 13, "constraint": 0.05, "rescaled": True}]

    @classmethod
    def recognises(cls, tensors: Tensors) -> bool:
        four = BLOCKS in tensors and tensors[BLOCKS].dim() == 4  # three make it Diag-OFT
        return four and super().recognises(tensors)

    @staticmethod
    def delta_from(tensors: Tensors, weight: Tensor) -> Tensor:
        blocks = tensors[BLOCKS]
        stages, count, size = blocks.shape[:3]
        if count * size != len(weight) or size % 2 or count % 2 ** (stages - 1):
            shape, weight_shape = tuple(blocks.shape), tuple(weight.shape)
            raise BenchError(
                f"{BLOCKS} of shape {shape} does not fit a weight of shape {weight_shape}"
            )
        angles = turn(blocks, tensors.get("alpha"), len(weight))
        rows = weight.to(blocks.dtype).flatten(1)
        # the backward pass goes through the stages anew: kept, each would cost another weight
        change: Tensor = checkpoint(
            _butterfly, angles, rows, use_reentrant=False, preserve_rng_state=False
        )
        return rescale(change.reshape(weight.shape), tensors, weight)

    @staticmethod
    def weight_shape(tensors: Tensors) -> torch.Size | None:
        stages, count, size, other = sizes(tensors, BLOCKS, 4)
        if size != other or size % 2 or count % 2 ** (stages - 1):
            shapes = with_shapes(tensors, BLOCKS)
            raise BenchError(f"{shapes} are no stages of square blocks of even size")
        one_each(tensors, RESCALE, count * size, "outputs")
        one_each(tensors, BIAS, count * size, "outputs")
        return None  # the number of inputs is not known


def _butterfly(angles: Tensor, rows: Tensor) -> Tensor:
    """R_p ⋯ R_0·W - W, from R - I of each stage; rows are W unrolled."""
    change = torch.zeros_like(rows)  # kept separate from W, which would swallow its small digits
    for stage, angle in enumerate(angles):
        change = change + _stage(angle, rows + change, 2**stage * angle.shape[-1] // 2)
    return change


def _stage(angle: Tensor, rows: Tensor, stride: int) -> Tensor:
    """(R - I)·rows, where each block takes pairs of rows that are `stride` apart."""
    columns = rows.shape[1]
    paired = rows.reshape(-1, 2, stride, columns).transpose(1, 2)
    turned = angle @ paired.reshape(len(angle), -1, columns)
    return turned.reshape(-1, stride, 2, columns).transpose(1, 2).reshape(rows.shape)


def block_size(outputs: int, dim: int) -> int:
    """The largest even b up to dim for which outputs/b is a power of two.

    BenchError: there is none; says which dim is possible for these outputs.

    >>> block_size(320, 12), block_size(768, 12), block_size(768, 6), block_size(64, 9)
    (10, 12, 6, 8)
    """
    odd = outputs // (outputs & -outputs)
    if odd == outputs:
        raise BenchError(f"boft pairs rows: {outputs} outputs, an odd number, cannot be paired")
    size = 2 * odd
    if size > dim:
        raise BenchError(
            f"boft has no blocks up to dim {dim} for {outputs} outputs; dim {size} has"
        )
    while size * 2 <= min(dim, outputs):
        size *= 2
    return size
