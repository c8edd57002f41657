"""One layer of an adapter file by itself: what it needs, its shape, its ranks."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from lycoris_bench.adapters.errors import AdapterFileError
from lycoris_bench.adapters.exports import OF_WEIGHT
from lycoris_bench.adapters.files import recognise
from lycoris_bench.adapters.lora import DOWN, MID, UP
from lycoris_bench.adapters.merged import changes
from lycoris_bench.errors import BenchError

Tensors = Mapping[str, Tensor]
KERNEL = re.compile(r"conv(?!_shortcut)|(?:in|out)_layers|skip_connection|[_.]op$|_blocks_0_0$")


class NeedsModel(BenchError):
    """The change cannot be known without the base model's weights: one sentence."""


def algorithm(tensors: Tensors) -> str:
    """The algorithm's name; "unknown" where none has these tensors."""
    known = recognise(tensors)
    return known[0] if known else "unknown"


def needs_weight(tensors: Tensors) -> bool:
    """Whether ΔW depends on W: DoRA's norm, and what multiplies W."""
    return "dora_scale" in tensors or algorithm(tensors) in OF_WEIGHT


def shape_of(tensors: Tensors) -> torch.Size:
    """W's shape as far as the tensors tell: factors that are matrices by design (LoHa's, LoKr's)
    give that of the unrolled weight. `AdapterFileError` for factors that are missing."""
    try:
        return _shape_of(tensors)
    except (KeyError, IndexError, TypeError) as error:
        sizes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in tensors.items())
        raise AdapterFileError(
            f"{algorithm(tensors)} lacks a tensor or a dimension: it has {sizes}"
        ) from error


def _shape_of(tensors: Tensors) -> torch.Size:
    match algorithm(tensors):
        case "lora":
            up, down = tensors[UP], tensors[DOWN]
            core = tensors.get(MID, down)
            return torch.Size((up.shape[0], down.shape[1], *core.shape[2:]))
        case "loha":
            one, two = tensors["hada_w1_a"], tensors["hada_w1_b"]
            if "hada_t1" in tensors:
                sizes = (one.shape[1], two.shape[1], *tensors["hada_t1"].shape[2:])
                return torch.Size(sizes)
            return torch.Size((one.shape[0], two.shape[1]))
        case "lokr":
            (u, ui, *_), (v, vi, *kernel) = (_block(tensors, f"lokr_{k}") for k in ("w1", "w2"))
            return torch.Size((u * v, ui * vi, *kernel))
        case "full":
            return tensors["diff" if "diff" in tensors else "diff_b"].shape
        case "norm":
            return tensors["w_norm" if "w_norm" in tensors else "b_norm"].shape
    raise NeedsModel(f"a change by {algorithm(tensors)} needs the base model: give --model")


def _block(tensors: Tensors, name: str) -> tuple[int, ...]:
    """Sizes of one of LoKr's blocks, whole or from its factors."""
    if name in tensors:
        return tuple(tensors[name].shape)
    one, two = tensors[f"{name}_a"], tensors[f"{name}_b"]
    if "lokr_t2" in tensors and name == "lokr_w2":
        return (one.shape[1], two.shape[1], *tensors["lokr_t2"].shape[2:])
    return (one.shape[0], two.shape[1])


def is_unrolled(name: str, tensors: Tensors) -> bool:
    """Whether the layer seems to be a convolution whose kernel the tensors do not show."""
    kind = algorithm(tensors)
    matrix = kind in ("loha", "lokr") and len(shape_of(tensors)) == 2
    return matrix and KERNEL.search(name) is not None


def change_alone(name: str, tensors: Tensors) -> tuple[Tensor, Tensor | None]:
    """(ΔW, Δb) in fp32 without a model; `NeedsModel` where ΔW depends on W."""
    if needs_weight(tensors):
        raise NeedsModel(
            f"{name}: the change by {algorithm(tensors)}"
            f"{' with dora_scale' if 'dora_scale' in tensors else ''} depends on the base "
            "model's weights: give --model"
        )
    try:
        return changes(tensors, torch.zeros(shape_of(tensors)))
    except ValueError as error:
        raise AdapterFileError(f"{name}: {error}") from None


def rank(tensors: Tensors) -> int | None:
    """The rank that alpha is divided by; None where there is none."""
    for name in (DOWN, "hada_w1_b", "lokr_w2_b", "lokr_w1_b"):
        if name in tensors:
            return tensors[name].shape[0]
    found = tensors.get("b2.weight")
    return None if found is None else min(found.shape[:2])


def alpha(tensors: Tensors) -> float | None:
    """The file's alpha as it stands."""
    return float(tensors["alpha"]) if "alpha" in tensors else None
