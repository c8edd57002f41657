"""A measure of diversity is taken within each group of images and averaged over the groups."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lycoris_bench.errors import BenchError
from lycoris_bench.metrics.base import Array


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
