"""(IA)³: ΔW = w ⊙ W, one number for each output channel or each input channel."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.base import Adapter, Bias, Generator, Tensors, zeros
from lycoris_bench.adapters.algorithms.fitting import one_each, sizes, with_shapes
from lycoris_bench.adapters.algorithms.options import FLAG, switch
from lycoris_bench.messages.errors import BenchError

DIFFERS = "(IA)³, which scales biases as well"


class IA3(Adapter):
    """W' = (1 + w) ⊙ W along one axis (Liu et al. 2022); the bias stays.

    `weight` is (o,), or (i,) with train_on_input; for convolutions (1, o, 1, 1) or (1, i, 1, 1).
    `on_input` says which, as 0 or 1: for a square layer its shape cannot. In a grouped
    convolution i counts the inputs of one group."""

    marks = ("on_input",)  # `weight` alone could be anything
    names = frozenset(("weight", "on_input"))
    integers: ClassVar = {"on_input": FLAG}
    known_elsewhere = True
    refused: ClassVar = {"ia3_l": f"PEFT's {DIFFERS}; merge it with PEFT"}
    peft, peft_differs = "IA3", DIFFERS

    @dataclass(frozen=True, kw_only=True)
    class Options:
        """Which channels have a number each."""

        train_on_input: bool = switch()

    def build(self, weight: Tensor, bias: Bias, generator: Generator, options: Options) -> None:
        axis = int(options.train_on_input)
        # no buffer: it stays on the CPU, so that asking it does not wait for a device
        self.on_input = torch.tensor(axis)
        size = weight.shape[axis]
        ones = [1 for _ in weight.shape[2:]]
        self.weight = zeros(weight, *((1, size, *ones) if ones else (size,)))

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        return [{}, {"train_on_input": True}]

    def tensors(self) -> dict[str, Tensor]:
        return {"weight": self.weight, "on_input": self.on_input}

    @staticmethod
    def delta_from(tensors: Tensors, weight: Tensor) -> Tensor:
        axis = int(bool(tensors["on_input"]))
        sizes = [1 for _ in weight.shape]
        sizes[axis] = weight.shape[axis]
        if tensors["weight"].numel() != sizes[axis]:
            raise BenchError(
                f"weight has {tensors['weight'].numel()} numbers for the {sizes[axis]} "
                f"{'inputs' if axis else 'outputs'} of a weight of shape {tuple(weight.shape)}"
            )
        return tensors["weight"].reshape(sizes) * weight.to(tensors["weight"].dtype)

    @staticmethod
    def weight_shape(tensors: Tensors) -> torch.Size | None:
        shape = sizes(tensors, "weight", 1)
        one_each(tensors, "weight", shape.numel(), "channels")
        if tensors["on_input"].numel() != 1:
            raise BenchError(f"{with_shapes(tensors, 'on_input')} is not one number, 0 or 1")
        return None  # of what is scaled one size is known

    def shrink(self, ratio: Tensor) -> None:
        self.weight.mul_(ratio)

    @classmethod
    def comfyui_refuses(cls, tensors: Tensors, swapped: bool) -> str | None:
        return "leaves (IA)³ out"
