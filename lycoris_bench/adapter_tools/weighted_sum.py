"""The weighted sum of several changes of one layer, in its shortest exact form."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lycoris_bench.adapter_tools.layer import Tensors
from lycoris_bench.adapter_tools.products import concatenated, is_plain_lora, plain_factors
from lycoris_bench.adapter_tools.source import Change, Source
from lycoris_bench.adapter_tools.svd import Svd, lora, numerical_rank, svd, svd_of_product, tail
from lycoris_bench.adapters.algorithms.base import BIAS
from lycoris_bench.adapters.algorithms.factors import Factors, Product, balanced
from lycoris_bench.adapters.algorithms.full import DIFF, Full
from lycoris_bench.adapters.algorithms.lora import DOWN, UP
from lycoris_bench.adapters.algorithms.norm import B_NORM, W_NORM
from lycoris_bench.messages.errors import BenchError

OF_NORM = {DIFF: W_NORM, BIAS: B_NORM}


@dataclass(frozen=True)
class Part:
    """One file's layer and its weight in the sum."""

    source: Source
    weight: float

    @property
    def tensors(self) -> Tensors:
        """The layer's tensors."""
        return self.source.tensors

    @property
    def is_bias(self) -> bool:
        """Whether the layer changes a bias alone."""
        return set(self.tensors) == {BIAS}


@dataclass(frozen=True)
class Sum:
    """A layer's tensors in float64 (`tensors`), how they were computed (`how`), the relative error
    (`lost`), and whether they are one file's own (`as_is`)."""

    parts: Sequence[Part]
    tensors: Tensors
    how: str
    lost: float = 0.0
    as_is: bool = False

    @property
    def keeps_form(self) -> bool:
        """Whether these have the names, shapes and alpha of one file's tensors."""
        source = self.parts[0].tensors
        return len(self.parts) == 1 and source.keys() == self.tensors.keys() and all(
            value.shape == source[key].shape
            and (key != "alpha" or float(value) == float(source[key]))
            for key, value in self.tensors.items()
        )  # fmt: skip

    def target(self) -> Change:
        """The sum of weight · change, in float64."""
        changes = [(part, *part.source.change()) for part in self.parts]
        shifts = [part.weight * shift for part, _, shift in changes if shift is not None]
        moves = [part.weight * move for part, move, _ in changes if not part.is_bias]
        moved = _sum(moves) if moves else torch.zeros_like(changes[0][1])
        return moved, _sum(shifts) if shifts else None

    def factors(self) -> Factors | None:
        """The sum as a product, where each part is one by its structure and has no bias."""
        return _product(self.parts)


def _product(parts: Sequence[Part]) -> Factors | None:
    factors = [part.source.factors() for part in parts]
    products = [product for product in factors if product is not None]
    if len(products) < len(factors):
        return None
    return concatenated([(part.weight * up, down)
                   for part, (up, down) in zip(parts, products, strict=True)])  # fmt: skip


def add_up(parts: Sequence[Part], rank: int | None) -> Sum:
    """The weighted sum of one layer. NeedsModel: a change cannot be computed without W."""
    biased, parts = parts, [part for part in parts if not part.is_bias]
    if len(biased) == 1 and biased[0].weight == 1 and not _longer(biased[0].tensors, rank):
        return Sum(biased, biased[0].tensors, "as it is (exact)", as_is=True)
    shifts = [(part.weight, part.tensors[BIAS].double()) for part in biased if BIAS in part.tensors]
    bias = {BIAS: _sum([weight * shift for weight, shift in shifts])} if shifts else {}
    if not parts:
        return Sum(biased, bias, "biases added (exact)")
    if all(is_plain_lora(part.tensors) for part in parts):
        tensors, how, lost = _concatenated(parts, rank)
    elif len(parts) == 1 and (scaled := _scaled(parts[0])) is not None:
        tensors, how, lost = scaled, "one file's, scaled (exact)", 0.0
    elif all(part.source.is_norm for part in parts):
        return Sum(biased, _norms(biased), "norms added (exact)")
    else:
        tensors, how, lost = _of_sum(parts, rank)
    return Sum(biased, tensors | bias, how, lost)


def _longer(tensors: Tensors, rank: int | None) -> bool:
    """Whether this is a LoRA with a rank above the given one."""
    return rank is not None and is_plain_lora(tensors) and len(tensors[DOWN]) > rank


def _concatenated(parts: Sequence[Part], rank: int | None) -> tuple[dict[str, Tensor], str, float]:
    """The sum of LoRAs as one LoRA: ups in columns, downs in rows."""
    shape = _common([part.source.shape() for part in parts])
    factors = [
        balanced(Product(*plain_factors(part.tensors)), part.weight) for part in parts
    ]  # fmt: skip
    up, down = concatenated(factors)
    if rank is not None and up.shape[1] > rank:
        return _nearest(svd_of_product(up, down), shape, rank)
    ones = [1 for _ in shape[2:]]
    tensors = {
        UP: up.reshape(*up.shape, *ones),
        DOWN: down.reshape(len(down), *shape[1:]),
        "alpha": torch.tensor(float(len(down))),
    }
    return tensors, "LoRA side by side (exact)", 0.0


def _nearest(decomposed: Svd, shape: torch.Size, rank: int) -> tuple[dict[str, Tensor], str, float]:
    whole = tail(decomposed.s, 0)
    lost = tail(decomposed.s, rank) / whole if whole else 0.0
    return lora(decomposed, shape, rank), "nearest LoRA (SVD)", lost


def _scaled(part: Part) -> dict[str, Tensor] | None:
    """One file's layer times its weight, in its own algorithm; None where that cannot be scaled."""
    linear = part.source.kind.linear
    if not linear or part.source.depends_on_weight or part.weight == 0:
        return None
    return {
        name: part.weight * value.double() if name in linear else value
        for name, value in part.tensors.items()
    }


def _norms(parts: Sequence[Part]) -> dict[str, Tensor]:
    """The sum of the shifts of norms, which files name w_norm and b_norm, or diff and diff_b."""
    sums: dict[str, list[Tensor]] = defaultdict(list)
    for part in parts:
        for name, value in part.tensors.items():
            sums[OF_NORM.get(name, name)].append(part.weight * value.double())
    return {name: _sum(values) for name, values in sums.items()}


def _of_sum(parts: Sequence[Part], rank: int | None) -> tuple[dict[str, Tensor], str, float]:
    """The sum as a LoRA of its own rank where that is shorter, else as a full difference."""
    if (product := _product(parts)) is not None:
        shape = _common([part.source.shape() for part in parts])
        decomposed = svd_of_product(*product)
    else:
        total = _total(parts)
        shape = total.shape
        if all(part.source.kind is Full for part in parts):
            return {DIFF: total}, "differences added (exact)", 0.0
        decomposed = svd(total)
    least = numerical_rank(decomposed.s)
    if rank is not None and least > rank:
        return _nearest(decomposed, shape, rank)
    if rank is not None or least * (len(decomposed.u) + decomposed.vh.shape[1]) < shape.numel():
        return lora(decomposed, shape, max(1, least)), "LoRA of the sum (exact)", 0.0
    return {DIFF: _total(parts)}, "full difference (exact)", 0.0


def _total(parts: Sequence[Part]) -> Tensor:
    return _sum([part.weight * part.source.change()[0] for part in parts])


def _sum(values: Sequence[Tensor]) -> Tensor:
    shape = _common([value.shape for value in values])
    return torch.stack([value.reshape(shape) for value in values]).sum(0)


def _common(shapes: Sequence[torch.Size]) -> torch.Size:
    """The shape with the most dimensions; a matrix may stand for an unrolled kernel."""
    longest = max(shapes, key=len)
    for shape in shapes:
        if shape[0] != longest[0] or shape.numel() != longest.numel():
            sizes = " and ".join(str(tuple(size)) for size in (longest, shape))
            raise BenchError(f"the files' changes of one layer have the shapes {sizes}: they were "
                             "made for other models")  # fmt: skip
    return longest
