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
    known = recognise(tensors)
    if known is None or not known[1].scaled:
        return None
    kind = known[1]
    by, given = kind.rank(tensors), alpha(tensors)
    if by is None:
        others = {"no alpha": 1.0}
        if given and network_dim and math.isfinite(given):  # files of full dimension may say inf
            others[f"alpha/rank, as PEFT reads {kind.__name__}"] = given / network_dim
        return Convention(f"1 ({kind.unranked})", 1.0, others)
    applied = float(scale(tensors, by))
    rule = f"alpha/rank = {given:g}/{by}" if given else "1 (no alpha)"
    if given == 0:
        rule = "1 (alpha 0 means the rank)"
    if applied == 0:  # an alpha too small for fp32
        return Convention(rule, applied, {})
    ratio = (given or by) / math.sqrt(by)
    others = {"no alpha": 1 / applied, "alpha/sqrt(rank)": ratio / applied}
    return Convention(rule, applied, others)


def dora_other(tensors: Tensors, weight: Tensor) -> float:
    """|ΔW' - ΔW| / |ΔW| of a DoRA on the output axis, with ΔW' that of readers that take the norm
    over inputs."""
    plain = {name: value for name, value in tensors.items() if name != MAGNITUDE}
    wrong = by_input_norms(tensors, changes(plain, weight)[0], weight)
    right = changes(tensors, weight)[0]
    missed, size = (float(torch.linalg.vector_norm(x)) for x in (wrong - right, right))
    return missed / size if size else float("inf" if missed else 0)
