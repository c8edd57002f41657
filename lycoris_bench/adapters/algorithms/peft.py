"""Helpers for the parts of PEFT's configurations that are the same for all kinds of adapter."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.dora import MAGNITUDE
from lycoris_bench.adapters.algorithms.knowledge import Tensors
from lycoris_bench.messages.errors import BenchError

START = "base_model.model."
NAMED = r"(?:\.[^.]+)?"  # PEFT may put an adapter's name before the last part
Config = dict[str, Any]


def as_they_are(*names: str) -> tuple[tuple[str, str], ...]:
    """PEFT's spellings of tensors that it calls by the same names."""
    return tuple((rf"{re.escape(name)}{NAMED}", name) for name in names)


def alpha_of(tensors: Tensors, rank: int) -> float:
    """The layer's alpha; the rank where it is missing or 0."""
    return float(tensors.get("alpha", torch.tensor(0.0))) or float(rank)


def ratios(ranks: Mapping[str, int], alphas: Mapping[str, float], alpha: str) -> Config:
    """r and alpha that most layers have, and all of them as patterns where some differ.

    PEFT takes the first pattern that fits a path's end, so longer paths stand first."""
    config: Config = {}
    for key, pattern, values in (("r", "rank_pattern", ranks), (alpha, "alpha_pattern", alphas)):
        config[key] = Counter(values.values()).most_common(1)[0][0]
        differ = len(set(values.values())) > 1
        longest = sorted(values, key=len, reverse=True)
        config[pattern] = {re.escape(path): values[path] for path in longest} if differ else {}
    return config


def as_lycoris(
    layers: Mapping[str, Tensors], ranks: Mapping[str, int], alphas: Mapping[str, float], core: str
) -> tuple[Config, dict[str, Tensor]]:
    """Kinds whose tensors are LyCORIS's own; `core` is the name that a Tucker form has.

    `BenchError` for a magnitude, which PEFT has over LoRA alone."""
    for path, layer in layers.items():
        if MAGNITUDE in layer:
            raise BenchError(f"PEFT has no DoRA but over LoRA, and {path} has {MAGNITUDE}")
    tensors = {
        f"{START}{path}.{key}": value
        for path, layer in layers.items()
        for key, value in layer.items()
        if key != "alpha"
    }
    tucker = any(core in layer for layer in layers.values())
    return {**ratios(ranks, alphas, "alpha"), "use_effective_conv2d": tucker}, tensors
