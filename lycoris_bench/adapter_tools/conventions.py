"""The scale that is applied to a file's tensors, and the scales of readers with other rules."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lycoris_bench.adapter_tools.layer import Tensors, alpha
from lycoris_bench.adapters.algorithms.base import scale
from lycoris_bench.adapters.algorithms.dora import MAGNITUDE, by_input_norms
from lycoris_bench.adapters.algorithms.recognise import recognise
from lycoris_bench.adapters.delta import changes


@dataclass(frozen=True)
class Convention:
    """The scale applied to one layer, as a rule and a number, and the factors by which readers with
    other rules differ from it."""

    rule: str
    applied: float
    others: Mapping[str, float]


def convention(tensors: Tensors, network_dim: int | None = None) -> Convention | None:
    """The scale that `merged_weight` applies to this layer; None for algorithms without one.

    `others` maps another rule to the factor on the change for a reader with that rule."""
    recognised = recognise(tensors)
    if recognised is None or not recognised[1].scaled:
        return None
    kind = recognised[1]
    rank, stated = kind.rank(tensors), alpha(tensors)
    if rank is None:
        others = {"no alpha": 1.0}
        if stated and network_dim and math.isfinite(stated):  # files of full dimension may say inf
            others[f"alpha/rank, as PEFT reads {kind.__name__}"] = stated / network_dim
        return Convention(f"1 ({kind.unranked})", 1.0, others)
    applied = float(scale(tensors, rank))
    rule = f"alpha/rank = {stated:g}/{rank}" if stated else "1 (no alpha)"
    if stated == 0:
        rule = "1 (alpha 0 means the rank)"
    if applied == 0:  # an alpha too small for fp32
        return Convention(rule, applied, {})
    ratio = (stated or rank) / math.sqrt(rank)
    others = {"no alpha": 1 / applied, "alpha/sqrt(rank)": ratio / applied}
    return Convention(rule, applied, others)


def dora_other(tensors: Tensors, weight: Tensor) -> float:
    """|ΔW' - ΔW| / |ΔW| of a DoRA on the output axis, where ΔW' is the change that readers with
    norms over inputs compute."""
    plain = {name: value for name, value in tensors.items() if name != MAGNITUDE}
    wrong = by_input_norms(tensors, changes(plain, weight)[0], weight)
    right = changes(tensors, weight)[0]
    missed, size = (float(torch.linalg.vector_norm(x)) for x in (wrong - right, right))
    return missed / size if size else float("inf" if missed else 0)
