"""How many generated images are nearer to a training image than any two training images are."""

from typing import Any

import numpy as np

from lycoris_bench.scoring.metrics.base import Array, metric
from lycoris_bench.scoring.metrics.nearest import ASKED, TRAINING, among_real, nearest


@metric(better="lower", encoder="copy", inputs=[TRAINING], prompt_types=ASKED, on_request=True)
def copy_rate(generated: Any, training: Any) -> Array:
    """1 for each image above the highest quantile that m training images have, else 0.

        c_i = [ s_i > max_j a_j ],    s_i = max_j <z^_i, r^_j>,  a_j = max_k≠j <r^_j, r^_k>

    generated [n, d], training [m, d] -> [n]. Of held-out real images of the same distribution it is
    2 / (m + 1) on average (`nearest.py`): a copy rate says something above that alone.
    """
    copied = nearest(generated, training)[0] > among_real(training)[-1]
    return np.asarray(copied, dtype=np.float64)
