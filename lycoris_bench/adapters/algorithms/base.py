"""The base class of algorithms: W' = W + strength · ΔW, with ΔW computed from named tensors.

    class LoRA(Adapter):
        @dataclass(frozen=True, kw_only=True)
        class Options(Ranked): the algorithm's options, their defaults, and what is allowed
        def build(self, weight, bias, generator, options): parameters
        def tensors(self): those parameters under the names that files give them
        @staticmethod
        def delta_from(tensors, weight): ΔW

Training computes ΔW from the live parameters, merging from a file's tensors: the same function,
so that a trained weight and a merged weight cannot differ. `weight` is for algorithms whose change
depends on W. knowledge.py has the optional methods of an algorithm."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lycoris_bench.adapters.algorithms import options as ranges
from lycoris_bench.adapters.algorithms.factors import Product
from lycoris_bench.adapters.algorithms.knowledge import BIAS, Knowledge, Span, Tensors
from lycoris_bench.adapters.algorithms.regularization import Limits
from lycoris_bench.messages.errors import BenchError, doing
from lycoris_bench.registry import titled

__all__ = ["BIAS", "Adapter", "Span", "Tensors"]

Bias = Tensor | None
Generator = torch.Generator | None


class Adapter(Knowledge, nn.Module, ABC):
    """A trainable change of one layer's weight, and of its bias where the algorithm has one.

    Parameters are fp32 whatever the layer is, and ΔW is exactly 0 at the start. Random values
    are drawn from `generator` on the CPU, so that they do not depend on the device. The options
    are those of the class's `Options`; `TypeError` for any other, `BenchError` for values that
    do not suit the weight."""

    Options: ClassVar[Any] = ranges.NoOptions
    strength: float = 1.0
    limits: Limits = Limits()

    def __init__(
        self,
        weight: Tensor,
        bias: Bias = None,
        generator: Generator = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.build(weight, bias, generator, self.Options(**options))

    @abstractmethod
    def build(self, weight: Tensor, bias: Bias, generator: Generator, options: Any) -> None:
        """Makes the parameters of a layer's adapter."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """The tensors a file holds for this layer, attached to the graph."""

    def drawn(self) -> dict[str, Tensor]:
        """The tensors of one training step: all of them, or the part that this step trains."""
        return self.tensors()

    @property
    def factor_rank(self) -> int:
        """The rank of `as_factors`; 0 where there are none, or where they are no way to train."""
        return 0

    def as_factors(self) -> Product:
        """strength · ΔW of the present parameters as a product, attached to the graph."""
        raise NotImplementedError

    def moved(self, tensors: Tensors, weight: Tensor) -> Tensor | None:
        """W + strength · ΔW in fewer operations than `add` takes, equal but for last digits; None
        where there is no such way. A training step uses it."""
        return None

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Options for small layers (12 inputs, 20 outputs), a set for each form of the tensors:
        what is tested of every algorithm is tested with these."""
        return [{}]

    @classmethod
    def options(cls) -> ranges.OptionTable:
        """The algorithm's own options and those that every algorithm has."""
        return {**ranges.table(cls.Options), **ranges.LIMITS}

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """The values of the algorithm's own options where nothing is given."""
        return {field.name: field.default for field in fields(cls.Options)}

    @classmethod
    def check(cls, **options: Any) -> None:
        """Raises `BenchError` for options that are unknown or out of range; needs no model."""
        ranges.check(cls.options(), options)
        if options.get("dora_wd") and options.get("max_norm") is not None:
            raise BenchError("max_norm bounds the length of ΔW, which dora_wd sets: choose one")

    @classmethod
    def covers(cls, weight: Tensor, options: Mapping[str, Any]) -> bool:
        """Whether these options train a layer of this weight: conv_dim 0 leaves out kernels."""
        return not (is_kernel(weight) and options.get("conv_dim") == 0)

    def delta(self, weight: Tensor) -> Tensor:
        """ΔW of the present parameters."""
        with full_precision(weight):
            return self.delta_from(self.tensors(), weight)

    def shrink(self, ratio: Tensor) -> None:
        """Scales the parameters so that ΔW becomes ratio · ΔW, for max_norm; ratio is a number on
        their device, 1 for most layers."""
        raise NotImplementedError

    def forward(self, weight: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """The adapted weight and bias, in the dtype of the originals."""
        if self.training and self.limits.skips():
            return weight, bias
        kind = type(self)
        with full_precision(weight), doing(f"applying {titled('adapter', kind.__name__, kind)}"):
            tensors = self.drawn() if self.training else self.tensors()
            shift = self.bias_from(tensors)
            plain = self.training and not self.limits.rank_dropout
            new = self.moved(tensors, weight) if plain else None
            if new is None:
                change = self.delta_from(tensors, weight)
                if self.training:
                    change, shift = self.limits.rows(change, shift)
                new = add(weight, (change, self.strength))
            return new, bias if bias is None else add(bias, (shift, self.strength))

    @property
    def parameter_count(self) -> int:
        """The number of trainable values."""
        return sum(parameter.numel() for parameter in self.parameters())


def add(value: Tensor, *changes: tuple[Tensor | None, float]) -> Tensor:
    """value + the sum of strength · change in fp32, rounded once; `value` itself at strength 0."""
    total = value
    for change, strength in changes:
        if change is not None and strength != 0:
            total = torch.add(total.float(), change, alpha=strength)
    return total.to(value.dtype)


def full_precision(weight: Tensor) -> AbstractContextManager[Any]:
    """Disables autocast, so that weight arithmetic stays in fp32."""
    kind = "cpu" if weight.is_meta else weight.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def fit(matrix: Tensor, weight: Tensor) -> Tensor:
    """The unrolled change (o, i·k²) in W's shape. BenchError: it does not fit W."""
    if matrix.numel() != weight.numel() or matrix.shape[0] != weight.shape[0]:
        raise BenchError(f"a change of shape {tuple(matrix.shape)} does not fit a weight of shape "
                         f"{tuple(weight.shape)}")  # fmt: skip
    return matrix.reshape(weight.shape)


def scale(tensors: Tensors, rank: int) -> float:
    """alpha/dim, the merge ratio; 1 where alpha is missing or 0.

    It is arithmetic of the host, for which alpha stays on the CPU: on a GPU these few numbers a
    layer were a third of all operations of a training step."""
    alpha = the_number(tensors["alpha"]) if "alpha" in tensors else 0.0
    return alpha / rank if alpha else 1.0


def the_number(tensor: Tensor) -> float:
    """The number of a tensor that holds one; 1 on the meta device, where shapes alone count."""
    return 1.0 if tensor.is_meta else float(tensor)


def rank_of(weight: Tensor, options: ranges.Ranked) -> tuple[int, Tensor]:
    """(rank, alpha) of a layer: kernels larger than 1x1 take the conv_ values where given.

    With rs_lora the ratio is alpha/√dim: alpha·√dim is what files say, so that every reader,
    which divides by dim, finds it."""
    dim, alpha = options.dim, options.alpha
    if is_kernel(weight):
        dim = dim if options.conv_dim is None else options.conv_dim
        alpha = alpha if options.conv_alpha is None else options.conv_alpha
    if dim < 1:
        raise BenchError("conv_dim is 0: this layer is not trained")
    by_root = isinstance(options, ranges.Factored) and options.rs_lora
    value = float(alpha or dim) * (math.sqrt(dim) if by_root else 1)
    return dim, torch.tensor(value)


def is_kernel(weight: Tensor) -> bool:
    """Whether the weight is that of a convolution larger than 1x1."""
    return any(size != 1 for size in weight.shape[2:])


def zeros(weight: Tensor, *shape: int) -> nn.Parameter:
    """A parameter of zeros, by which ΔW is 0 at the start."""
    return nn.Parameter(torch.zeros(shape, device=weight.device))


def kaiming(weight: Tensor, generator: Generator, *shape: int) -> nn.Parameter:
    """A parameter drawn uniformly within ±1/√(product of all sizes but the first)."""
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    drawn = torch.empty(shape, device="cpu").uniform_(-bound, bound, generator=generator)
    return nn.Parameter(drawn.to(weight.device))


def normal(weight: Tensor, generator: Generator, std: float, *shape: int) -> nn.Parameter:
    """A parameter drawn from a Gaussian around 0."""
    drawn = torch.empty(shape, device="cpu").normal_(0, std, generator=generator)
    return nn.Parameter(drawn.to(weight.device))
