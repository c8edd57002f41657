"""Where the nearness of each generated image to a training image stands among that of real ones."""

from typing import Any

import numpy as np

from lycoris_bench.scoring.metrics.base import Array, metric
from lycoris_bench.scoring.metrics.nearest import ASKED, TRAINING, among_real, nearest


@metric(better="lower", encoder="copy", inputs=[TRAINING], prompt_types=ASKED, on_request=True)
def copy_quantile(generated: Any, training: Any) -> Array:
    """The share of training images that are less near to another than the image is to one.

        q_i = #{j : a_j < s_i} / (m + 1),    s_i = max_j <z^_i, r^_j>,  a_j = max_k≠j <r^_j, r^_k>

    generated [n, d], training [m, d] -> [n], from 0 to m / (m + 1): the image itself is one of the
    m + 1 that are ranked. Equal features among the training images count once.
    """
    real = among_real(training)
    below = np.searchsorted(real, nearest(generated, training)[0], side="left")
    quantiles: Array = below / (len(real) + 1)
    return quantiles
