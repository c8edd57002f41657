"""How much images of one prompt vary, of the miniature world: the truth of diversity."""

from typing import Any

import numpy as np

from lycoris_bench.miniature.concepts.truth import BACKDROP
from lycoris_bench.scoring.metrics.base import metric
from lycoris_bench.scoring.metrics.truths import ALIKE, SEEN, unlike_pairs

VARIES = ("place", "position", "size", BACKDROP)


@metric(
    better="higher", encoder=None, inputs=[SEEN, ALIKE], on_request=True,
    prompt_types=("train", "trigger", "alter"),
)  # fmt: skip
def variety(seen: Any, alike: Any) -> float:
    """How likely two images of one prompt differ in an attribute, the mean over four attributes.

        V = mean_a [ 1 - sum_v p_av^2 ],    a in place, position, size, colour of the edge

    seen: n readings; alike [n]: the group of each -> a number in [0, 1]. It is the entropy of order
    2 (Tsallis) of each attribute, and the one that has an unbiased estimate from a few images: the
    share of pairs that differ. So sets of unlike n compare, real images among them. What else
    varies (turn, pose within a figure) is not read.
    """
    return float(np.mean([unlike_pairs(seen, alike, name) for name in VARIES]))
