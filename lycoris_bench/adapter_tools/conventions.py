"""The scale that a file's numbers are read with, and what readers of another mind would apply."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lycoris_bench.adapter_tools.layer import Tensors, algorithm, alpha, rank
from lycoris_bench.adapters.algorithms.base import scale
from lycoris_bench.adapters.delta import changes

SCALED = ("lora", "loha", "lokr", "glora", "dylora")


@dataclass(frozen=True)
class Convention:
    """The scale applied to one layer, in words and as a number, and factors of others on it."""

    rule: str
    applied: float
    others: Mapping[str, float]


def convention(tensors: Tensors, network_dim: int | None = None) -> Convention | None:
    """What `merged_weight` applies to this layer; None for algorithms that have no scale.

    `others` are factors on the change: how much larger it is for a reader with that rule."""
    if algorithm(tensors) not in SCALED:
        return None
    by, given = rank(tensors), alpha(tensors)
    if by is None:  # LoKr with both blocks whole
        others = {"no alpha": 1.0}
        if given and network_dim and math.isfinite(given):  # files of full dimension may say inf
            others["alpha/rank, as PEFT reads LoKr"] = given / network_dim
        return Convention("1 (two whole blocks have no rank)", 1.0, others)
    applied = float(scale(tensors, by))
    rule = f"alpha/rank = {given:g}/{by}" if given else "1 (no alpha)"
    if given == 0:
        rule = "1 (alpha 0 means the rank)"
    if applied == 0:  # an alpha too small for fp32
        return Convention(rule, applied, {})
    ratio = (given or by) / math.sqrt(by)
    others = {"no alpha": 1 / applied, "alpha/sqrt(rank)": ratio / applied}
    return Convention(rule, applied, others)


def dora_axis(tensors: Tensors) -> str | None:
    """ "input" or "output", from the shape of `dora_scale`; None without DoRA.

    A layer with a single output and a single input has both: it counts as output."""
    if "dora_scale" not in tensors:
        return None
    sizes = tensors["dora_scale"].shape
    return "output" if all(n == 1 for n in sizes[1:]) else "input"


def dora_other(tensors: Tensors, weight: Tensor) -> float:
    """|change by readers that norm over inputs - change| / |change|, for an output-axis file.

    They divide by the norm of each input of W + ΔW, whatever the shape of `dora_scale`."""
    plain = {name: value for name, value in tensors.items() if name != "dora_scale"}
    moved = weight.float() + changes(plain, weight)[0]
    others = [dim for dim in range(weight.dim()) if dim != 1]
    smallest = torch.finfo(torch.float32).tiny
    norm = torch.linalg.vector_norm(moved, dim=others, keepdim=True).clamp_min(smallest)
    wanted = tensors["dora_scale"].float().reshape(-1, *(1 for _ in weight.shape[1:]))
    right = changes(tensors, weight)[0]
    wrong = moved * wanted / norm - weight.float()
    missed, size = (float(torch.linalg.vector_norm(x)) for x in (wrong - right, right))
    return missed / size if size else float("inf" if missed else 0)
