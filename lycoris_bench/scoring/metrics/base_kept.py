"""How much of the base model's image is still there, of the miniature world: the truth of
preservation."""

from typing import Any

import numpy as np

from lycoris_bench.scoring.metrics.base import Array, metric
from lycoris_bench.scoring.metrics.truths import SEEN, SEEN_OF_BASE, agreement

KEPT = ("place", "style")


@metric(better="higher", encoder=None, inputs=[SEEN, SEEN_OF_BASE], on_request=True)
def base_kept(seen: Any, seen_of_base: Any) -> Array:
    """The share of place and style that each image has in common with the base model's image of
    the same prompt and noise.

    seen, seen_of_base: n readings each -> [n].
    """
    pairs = zip(seen, seen_of_base, strict=True)
    return np.array([agreement(one, {k: other[k] for k in KEPT}) for one, other in pairs])
