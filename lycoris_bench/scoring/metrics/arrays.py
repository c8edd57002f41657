"""Encoder outputs as float64 arrays and unit vectors; a feature that has no direction is an error.

A feature of zero norm has no direction: a 0, NaN or epsilon in its place would be a made-up
score, so it is refused, with the row that has it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.scoring.metrics.base import Array


def as_float64(values: Any, name: str) -> Array:
    """A float64 array of any shape, from numpy or from torch on any device; finite throughout."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()  # numpy does not know bfloat16
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        bad = len(np.argwhere(~np.isfinite(array)))
        raise BenchError(f"{name} has {bad} values of {array.size} that are not finite")
    return array


def unit(features: Any, name: str) -> Array:
    """z / |z| for each row of [n, d]."""
    array = as_float64(features, name)
    if array.ndim != 2:
        raise BenchError(f"{name} has shape {list(array.shape)}; features are [images, width]")
    if array.size == 0:
        raise BenchError(f"{name} has shape {list(array.shape)}: there is nothing to compare")
    norms = np.linalg.norm(array, axis=1, keepdims=True)
    if (zero := np.flatnonzero(norms == 0)).size:
        raise BenchError(
            f"{name} has {zero.size} features of zero norm (the first in row {zero[0]}): "
            "they have no direction"
        )
    normalised: Array = array / norms
    return normalised


def unit_pair(first: Any, second: Any, names: tuple[str, str]) -> tuple[Array, Array]:
    """Both sets as unit vectors of the same width."""
    a, b = unit(first, names[0]), unit(second, names[1])
    if a.shape[1] != b.shape[1]:
        raise BenchError(
            f"{names[0]} has width {a.shape[1]} and {names[1]} {b.shape[1]}: "
            "they come from different encoders"
        )
    return a, b


def over_groups(
    features: Array, groups: Any, measure: Callable[[Array], Array], name: str = "generated"
) -> float:
    """Mean over the groups of `measure`, which maps stacks [s, n, d] of s groups of one size to
    [s]: groups are stacked by size, so that each size is one batch."""
    group = np.asarray(groups)
    if group.shape != (len(features),):
        raise BenchError(
            f"groups has shape {list(group.shape)}; the {len(features)} images of {name} "
            "need one each"
        )
    _, of, sizes = np.unique(group, return_inverse=True, return_counts=True)
    scores = np.empty(len(sizes))
    for size in np.unique(sizes):
        same = np.flatnonzero(sizes == size)
        scores[same] = measure(np.stack([features[of == one] for one in same]))
    return float(scores.mean())
