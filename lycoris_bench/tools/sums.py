"""The weighted sum of several changes of one layer, in the shortest form that says it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lycoris_bench.adapters.base import BIAS
from lycoris_bench.adapters.merged import changes
from lycoris_bench.errors import BenchError
from lycoris_bench.tools.errors import Row, compare
from lycoris_bench.tools.layer import (
    NeedsModel,
    Tensors,
    algorithm,
    change_alone,
    is_unrolled,
    needs_weight,
    shape_of,
)
from lycoris_bench.tools.lowrank import lora, numerical_rank, svd, svd_of_product
from lycoris_bench.tools.resize import is_plain_lora, plain_factors

ONE_FACTOR = ("hada_w1_a", "lokr_w1", "lokr_w1_a", "diff", BIAS, "w_norm", "b_norm")
Change = tuple[Tensor, Tensor | None]


@dataclass(frozen=True)
class Part:
    """One file's tensors of the layer and their weight; its change too, where a model is known."""

    tensors: Tensors
    weight: float
    change: Change | None


def add_up(
    name: str, parts: Sequence[Part], rank: int | None
) -> tuple[dict[str, Tensor], str, Row]:
    """(tensors, how they were made, error as the file will hold them) of one layer."""
    biased, parts = parts, [part for part in parts if set(part.tensors) != {BIAS}]
    shifts = [(part.weight, part.tensors[BIAS].float()) for part in biased if BIAS in part.tensors]
    if not parts:
        made = {BIAS: _sum([weight * shift for weight, shift in shifts])}
        return made, "biases added (exact)", compare(name, made[BIAS], made[BIAS].half().float())
    if all(is_plain_lora(part.tensors) for part in parts):
        made, how = _concatenated(parts, rank)
    elif len(parts) == 1 and (scaled := _scaled(parts[0])) is not None:
        made, how = scaled
        if needs_weight(made):  # as it was
            return made, how, Row(name, 0.0, 0.0)
    elif all(algorithm(part.tensors) == "norm" for part in parts):
        made, how = _summed(parts), "norms added (exact)"
    else:
        made, how = _of_sum(name, parts, rank)
    wanted = _sum([part.weight * _change(name, part)[0] for part in parts])
    if shifts:
        made[BIAS] = _sum([weight * shift for weight, shift in shifts])
    halves = {key: value.half() for key, value in made.items()}
    again, _ = changes(halves, torch.zeros_like(wanted))
    found = made.get("lora_down.weight")
    return made, how, compare(name, wanted, again, None if found is None else len(found))


def _concatenated(parts: Sequence[Part], rank: int | None) -> tuple[dict[str, Tensor], str]:
    """ups side by side and downs one above the other: the sum of the products."""
    shape = _common([shape_of(part.tensors) for part in parts])
    factors = [(part.weight, *plain_factors(part.tensors)) for part in parts]
    up = torch.cat([weight * left for weight, left, _ in factors], dim=1)
    down = torch.cat([right for _, _, right in factors])
    if rank is not None and up.shape[1] > rank:
        return lora(svd_of_product(up, down), shape, rank), "nearest LoRA (SVD)"
    ones = [1 for _ in shape[2:]]
    made = {
        "lora_up.weight": up.reshape(*up.shape, *ones),
        "lora_down.weight": down.reshape(len(down), *shape[1:]),
        "alpha": torch.tensor(float(len(down))),
    }
    return made, "LoRA side by side (exact)"


def _scaled(part: Part) -> tuple[dict[str, Tensor], str] | None:
    """One file's layer times its weight, in its own form; None where that has no such form."""
    made = {name: value.clone() for name, value in part.tensors.items()}
    if part.weight == 1:
        return made, "as it is (exact)"
    if needs_weight(part.tensors) or part.weight == 0:
        return None
    linear = ("lora_up.weight", *ONE_FACTOR)
    for name in [key for key in made if key in linear and key != BIAS]:
        made[name] = part.weight * made[name].float()
    return made, "one file's, scaled (exact)"


def _summed(parts: Sequence[Part]) -> dict[str, Tensor]:
    names = dict.fromkeys(key for part in parts for key in part.tensors)
    return {
        key: _sum([p.weight * p.tensors[key].float() for p in parts if key in p.tensors])
        for key in names
    }


def _of_sum(name: str, parts: Sequence[Part], rank: int | None) -> tuple[dict[str, Tensor], str]:
    """The sum itself: as a LoRA of its own rank where that is shorter, else as a difference."""
    for part in parts:
        if part.change is None and is_unrolled(name, part.tensors):
            raise NeedsModel(f"{name}: the tensors do not show the kernel's size: give --model")
    total = _sum([part.weight * _change(name, part)[0] for part in parts])
    if all(algorithm(part.tensors) == "full" for part in parts):
        return {"diff": total}, "differences added (exact)"
    found = svd(total)
    least = numerical_rank(found.s)
    if rank is not None:
        how = "LoRA of the sum (exact)" if least <= rank else "nearest LoRA (SVD)"
        return lora(found, total.shape, max(1, min(rank, least))), how
    if least * (len(found.u) + found.vh.shape[1]) < total.numel():
        return lora(found, total.shape, max(1, least)), "LoRA of the sum (exact)"
    return {"diff": total}, "full difference (exact)"


def _change(name: str, part: Part) -> Change:
    return part.change or change_alone(name, part.tensors)


def _sum(values: Sequence[Tensor]) -> Tensor:
    shape = _common([value.shape for value in values])
    return torch.stack([value.reshape(shape) for value in values]).sum(0)


def _common(shapes: Sequence[torch.Size]) -> torch.Size:
    """The shape that shows the kernel; a matrix may stand for the unrolled weight."""
    longest = max(shapes, key=len)
    for shape in shapes:
        if shape[0] != longest[0] or shape.numel() != longest.numel():
            sizes = " and ".join(str(tuple(one)) for one in (longest, shape))
            raise BenchError(f"the files' changes of one layer have the shapes {sizes}: they were "
                             "made for other models")  # fmt: skip
    return longest
