"""DoRA: a layer's change is split into magnitude and direction, over lora, loha or lokr."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lycoris_bench.adapters.algorithms.base import Adapter, Span, Tensors
from lycoris_bench.adapters.algorithms.factors import Product, in_float64
from lycoris_bench.adapters.algorithms.options import Decomposed
from lycoris_bench.adapters.algorithms.terms import MOST_RANK, LowRank, Term
from lycoris_bench.messages.errors import BenchError

MAGNITUDE = "dora_scale"


class Decomposable(Adapter):
    """An algorithm whose ΔW is made of factors, alone or with DoRA's magnitude over it: then ΔW
    depends on W, and is no product of factors."""

    exact = frozenset((MAGNITUDE,))
    scaled = known_elsewhere = to_peft_folder = True
    alpha: Tensor

    @staticmethod
    @abstractmethod
    def factors_of(tensors: Tensors) -> Product:
        """ΔW without the magnitude as up · down, of tensors in float64."""

    @staticmethod
    @abstractmethod
    def length_of_factors(tensors: Tensors) -> float:
        """|ΔW| without the magnitude, of tensors in float64, from the factors."""

    @classmethod
    def term_of_factors(cls, tensors: Tensors) -> Term | None:
        """ΔW without the magnitude as `as_term` has it."""
        up, down, _ = cls.factors_of(tensors)
        return LowRank(up, down) if len(down) <= MOST_RANK else None

    @staticmethod
    def depends_on_weight(tensors: Tensors) -> bool:
        return MAGNITUDE in tensors

    @classmethod
    def as_product(cls, tensors: Tensors) -> Product | None:
        return None if MAGNITUDE in tensors else cls.factors_of(in_float64(tensors))

    @classmethod
    def as_term(cls, tensors: Tensors) -> Term | None:
        return None if MAGNITUDE in tensors else cls.term_of_factors(tensors)

    @classmethod
    def length(cls, tensors: Tensors) -> float | None:
        return None if MAGNITUDE in tensors else cls.length_of_factors(tensors)

    @classmethod
    def comfyui_refuses(cls, tensors: Tensors, swapped: bool) -> str | None:
        """ComfyUI takes norms over inputs, whatever the magnitude's shape."""
        of_outputs = MAGNITUDE in tensors and tensors[MAGNITUDE].shape[0] != 1
        return "computes a DoRA of outputs otherwise" if of_outputs else None


def magnitude(weight: Tensor, options: Decomposed) -> nn.Parameter | None:
    """|W| along the axis that keeps its magnitude, (o, 1, ...) or (1, i, 1, ...); None without
    `dora_wd`.

    The input axis is what most readers apply exactly, whatever axis a file means; the output
    axis is that of the paper (Liu et al. 2024)."""
    if not options.dora_wd:
        return None
    return nn.Parameter(_norm(weight.detach().float(), 0 if options.wd_on_output else 1))


def decompose(change: Tensor, tensors: Tensors, weight: Tensor) -> Tensor:
    """W' - W with W' = m · (W + ΔW) / |W + ΔW|, where m is `dora_scale`; ΔW where there is none.

    The axis is that of m's shape. Only the whole difference is scaled by strength, so that
    strength 0 gives W. Gradients flow through the norm."""
    if MAGNITUDE not in tensors:
        return change
    target = tensors[MAGNITUDE].to(change.dtype)
    axis = _axis(target, weight)
    moved = weight.to(change.dtype) + change
    norm = _norm(moved, axis)
    return moved * (target.reshape(norm.shape) / norm - 1) + change


def with_magnitude(tensors: Tensors, shape: torch.Size, unrolled: bool = False) -> torch.Size:
    """The shape of a layer's weight; `BenchError` for a magnitude that is neither of its outputs
    nor of its inputs. With `unrolled`, two sizes may be those of a kernel as a matrix."""
    if MAGNITUDE not in tensors:
        return shape
    unrolled = unrolled and len(shape) == 2
    sizes = tensors[MAGNITUDE].shape
    ones = all(size == 1 for size in sizes[1:])
    outputs = ones and sizes[:1] == shape[:1]
    inputs = len(sizes) > 1 and len(shape) > 1 and sizes[0] == 1 and sizes[1] == sizes.numel()
    if inputs:
        inputs = shape[1] % sizes[1] == 0 if unrolled else shape[1] == sizes[1]
    if not (outputs or inputs):
        raise BenchError(f"{MAGNITUDE} of shape {tuple(sizes)} does not fit a weight of "
                         f"{tuple(shape)}")  # fmt: skip
    return shape


def axis(tensors: Tensors) -> str | None:
    """The axis of the magnitude, "input" or "output"; None without a magnitude.

    A layer with a single output and a single input has both: it counts as output."""
    if MAGNITUDE not in tensors:
        return None
    return "output" if all(n == 1 for n in tensors[MAGNITUDE].shape[1:]) else "input"


def by_input_norms(tensors: Tensors, change: Tensor, weight: Tensor) -> Tensor:
    """W' - W as readers compute it that divide by the norm of each input, whatever the magnitude's
    shape; `change` is ΔW without the magnitude."""
    moved = weight.float() + change
    others = [dim for dim in range(weight.dim()) if dim != 1]
    smallest = torch.finfo(torch.float32).tiny
    norm = torch.linalg.vector_norm(moved, dim=others, keepdim=True).clamp_min(smallest)
    target = tensors[MAGNITUDE].float().reshape(-1, *(1 for _ in weight.shape[1:]))
    change_of_weight: Tensor = moved * target / norm - weight.float()
    return change_of_weight


def divided_magnitude(tensors: Tensors, spans: Sequence[Span]) -> dict[str, Tensor]:
    """The magnitudes of some outputs. BenchError: the magnitudes are those of inputs, which cannot
    be divided among the parts of a layer."""
    if MAGNITUDE not in tensors:
        return {}
    value = tensors[MAGNITUDE]
    if not (value.dim() and len(value) == value.numel()):
        raise BenchError("a DoRA of inputs")
    return {MAGNITUDE: torch.cat([value[a:b] for a, b in spans])}


def _axis(target: Tensor, weight: Tensor) -> int:
    """0 for a magnitude of each output, 1 for one of each input."""
    sizes = tuple(target.shape)
    if target.numel() == weight.shape[0] and all(size == 1 for size in sizes[1:]):
        return 0
    if target.dim() > 1 and sizes[0] == 1 and target.numel() == sizes[1] == weight.shape[1]:
        return 1
    raise BenchError(f"{MAGNITUDE} of shape {sizes} does not fit a weight of {tuple(weight.shape)}")


def _norm(weight: Tensor, axis: int) -> Tensor:
    """|W| along all other axes, never 0. A plain sum adds in pairs, which is six times as exact as
    vector_norm over the first axis, which adds one number after the other."""
    others = [dim for dim in range(weight.dim()) if dim != axis]
    smallest = torch.finfo(torch.float32).eps ** 2
    return weight.square().sum(others, keepdim=True).clamp_min(smallest).sqrt()
