"""Diag-OFT: the rows of W are rotated, a block of output channels at a time."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.base import BIAS, Bias, Generator, Span, Tensors
from lycoris_bench.adapters.algorithms.factors import factorization
from lycoris_bench.adapters.algorithms.fitting import one_each, sizes, with_shapes
from lycoris_bench.adapters.algorithms.options import FLAG
from lycoris_bench.adapters.algorithms.peft import NAMED
from lycoris_bench.adapters.algorithms.rotations import (
    BLOCKS,
    RESCALE,
    Rotation,
    Turned,
    rescale,
    turn,
    unpacked,
)
from lycoris_bench.messages.errors import BenchError

DIRECT, ON_INPUT, ONE_TRAINER = "oft_diag", "oft_in.weight", "oft_in.one_trainer"
PACKED, SCALED = "oft_R.weight", "oft_R.scaled_oft"  # PEFT's and OneTrainer's


class DiagOFT(Rotation):
    """W' = s ⊙ Rᵀ·W with one rotation R for each block of outputs (Qiu et al. 2023).

    `oft_blocks` (n, b, b) with (b, n) = factorization(o, dim), so that b is at most dim or the
    other part of o, whichever is smaller; R is the Cayley transform of B - Bᵀ (rotations.py),
    `alpha` the constraint, `rescale` s. Strength acts on W' - W as a whole.

    Files may instead hold R itself: `oft_diag` (n, b, b) of old LyCORIS; `oft_in.weight` for
    PEFT's OFT, which rotates inputs: y = layer(x·R), or W' = W·Rᵀ for each block of input
    channels, or of unrolled inputs i·k² as PEFT has for kernels. With `oft_in.one_trainer` it is
    OneTrainer's, which has W' = W·R for convolutions, and may share one block among all."""

    title = "diag-oft"
    marks = (BLOCKS, DIRECT, ON_INPUT)
    names = frozenset((*marks, ONE_TRAINER, RESCALE, "alpha"))
    exact = frozenset((RESCALE, DIRECT, ON_INPUT))
    integers: ClassVar = {ONE_TRAINER: FLAG}
    peft = "OFT"
    spellings = ((rf"oft_R{NAMED}\.weight", PACKED), (r"oft_R\.scaled_oft", SCALED))

    @dataclass(frozen=True, kw_only=True)
    class Options(Turned):
        """Those of all rotations."""

    def build(self, weight: Tensor, bias: Bias, generator: Generator, options: Options) -> None:
        size, count = factorization(len(weight), options.dim)
        if size == 1:
            raise BenchError(_unsplit(len(weight), options.dim))
        self.start(weight, options, count, size, size)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        return [{"dim": 4}, {"dim": 5, "constraint": 0.05, "rescaled": True}]

    @classmethod
    def recognises(cls, tensors: Tensors) -> bool:
        three = BLOCKS not in tensors or tensors[BLOCKS].dim() == 3  # four make it BOFT
        return three and super().recognises(tensors)

    @staticmethod
    def delta_from(tensors: Tensors, weight: Tensor) -> Tensor:
        name = _present(tensors)
        blocks = tensors[name]
        if name == BLOCKS:
            angle = turn(blocks, tensors.get("alpha"), len(weight))
        else:
            angle = blocks - torch.eye(blocks.shape[-1], device=blocks.device)
        if ONE_TRAINER in tensors:
            angle = _one_trainers(angle, weight)
        change = (_inputs if name == ON_INPUT else _outputs)(angle, weight, name)
        return rescale(change, tensors, weight)

    @staticmethod
    def weight_shape(tensors: Tensors) -> torch.Size | None:
        name = _present(tensors)
        if name != ON_INPUT:
            count, size = tensors[name].shape[:2]
            one_each(tensors, RESCALE, count * size, "outputs")
            one_each(tensors, BIAS, count * size, "outputs")
        return None  # of what is turned one size is known

    @staticmethod
    def changes_outputs_alike(tensors: Tensors) -> bool:
        return ON_INPUT in tensors and not {RESCALE, BIAS} & tensors.keys()

    @classmethod
    def rows(cls, tensors: Tensors, spans: Sequence[Span]) -> dict[str, Tensor]:
        raise BenchError(cls.title)

    @classmethod
    def settle(
        cls, layer: str, tensors: dict[str, Tensor], config: Mapping[str, Any] | None
    ) -> dict[str, Tensor]:
        """R of a rotation that PEFT or OneTrainer packed.

        OneTrainer writes kohya's names, and no configuration: it turns kernels by R where PEFT
        turns them by Rᵀ, and with `scaled_oft` its numbers count 1/√(numbers of a block)."""
        if PACKED not in tensors:
            return tensors
        packed, scaled = tensors.pop(PACKED), tensors.pop(SCALED, None)
        if scaled is not None and packed.dim() == 2 and packed.numel():
            packed = packed.float() / math.sqrt(packed.shape[1])
        tensors[ON_INPUT] = unpacked(layer, packed, config or {})
        if scaled is not None or (config is None and "." not in layer):
            tensors[ONE_TRAINER] = torch.tensor(1)
        return tensors

    @classmethod
    def comfyui_refuses(cls, tensors: Tensors, swapped: bool) -> str | None:
        for name, turned in ((ON_INPUT, "of inputs"), (DIRECT, "by its own matrix")):
            if name in tensors:
                return f"knows no rotation {turned}"
        constrained = super().comfyui_refuses(tensors, swapped=False)
        if RESCALE in tensors and not constrained:
            return "computes a rescaled Diag-OFT otherwise"
        return constrained or super().comfyui_refuses(tensors, swapped)


def _present(tensors: Tensors) -> str:
    """The name of the tensor that holds the blocks (n, b, b). BenchError: there are several, or it
    has another shape."""
    present = [name for name in DiagOFT.marks if name in tensors]
    if len(present) != 1:
        raise BenchError(f"{' and '.join(present)} of one layer contradict each other")
    shape = sizes(tensors, present[0], 3)
    if len(shape) != 3 or shape[1] != shape[2]:
        raise BenchError(f"{with_shapes(tensors, present[0])} is no row of square blocks (n, b, b)")
    return present[0]


def _outputs(angle: Tensor, weight: Tensor, name: str) -> Tensor:
    """(R - I)ᵀ·W of each block of rows."""
    count, size = angle.shape[:2]
    if count * size != len(weight):
        raise _misfit(angle, weight, name)
    rows = weight.to(angle.dtype).reshape(count, size, -1)
    return (angle.mT @ rows).reshape(weight.shape)


def _inputs(angle: Tensor, weight: Tensor, name: str) -> Tensor:
    """W·(R - I)ᵀ of each block of input channels, or of unrolled inputs."""
    count, size = angle.shape[:2]
    if weight.dim() < 2 or count * size not in (weight.shape[1], weight[0].numel()):
        raise _misfit(angle, weight, name)
    columns = weight.to(angle.dtype).reshape(len(weight), count, size, -1)
    return torch.einsum("onck,ndc->ondk", columns, angle).reshape(weight.shape)


def _one_trainers(angle: Tensor, weight: Tensor) -> Tensor:
    """R - I as OneTrainer applies it: a single block serves all inputs, and convolutions are turned
    the other way round."""
    shared = len(angle) == 1 and weight[0].numel() % angle.shape[-1] == 0
    angle = angle.expand(weight[0].numel() // angle.shape[-1], -1, -1) if shared else angle
    return angle if weight.dim() == 2 else angle.mT


def _unsplit(outputs: int, dim: int) -> str:
    """Why there is nothing to rotate: blocks of one row."""
    fit = next((d for d in range(2, outputs) if factorization(outputs, d)[0] > 1), None)
    advice = f"no dim splits {outputs}" if fit is None else f"dim = {fit} would do"
    return f"diag-oft with dim {dim} splits {outputs} outputs into blocks of 1; {advice}"


def _misfit(angle: Tensor, weight: Tensor, name: str) -> BenchError:
    shape, weight_shape = tuple(angle.shape), tuple(weight.shape)
    return BenchError(f"{name} of shape {shape} does not fit a weight of shape {weight_shape}")
