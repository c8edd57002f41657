"""How near each generated image is to the training image that is nearest to it."""

from typing import Any

from lycoris_bench.scoring.metrics.base import Array, metric
from lycoris_bench.scoring.metrics.nearest import ASKED, TRAINING, nearest, partners


@metric(
    better="lower", encoder="copy", inputs=[TRAINING], prompt_types=ASKED, on_request=True,
    partners=partners,
)  # fmt: skip
def nearest_similarity(generated: Any, training: Any) -> Array:
    """The largest cosine of each generated image to a training image.

        s_i = max_j <z^_i, r^_j>

    generated [n, d], training [m, d] -> [n]. Being near is no fault in itself: it is one above what
    real images of the concept reach (`copy_quantile`, `copy_rate`). Lower is better for want of a
    direction that holds everywhere; no finding rests on it.
    """
    return nearest(generated, training)[0]
