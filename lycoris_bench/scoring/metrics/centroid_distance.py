"""How far the centres of the generated and the dataset's images are from each other."""

from typing import Any

import numpy as np

from lycoris_bench.scoring.metrics.arrays import unit_pair
from lycoris_bench.scoring.metrics.base import metric


@metric(better="lower", encoder="image", equal_n=True)
def centroid_distance(generated: Any, reference: Any) -> float:
    """Squared distance of the means of the normalised features (paper, appendix D.4).

        SCD = | mean z^ - mean r^ |^2 in [0, 4]

    generated [n, d], reference [m, d] -> one number. Together with image similarity:
    1 - S_C = (SCD + Var z^ + Var r^) / 2, where Var z^ = mean |z^ - mean z^|^2: a set that
    varies less is more similar at the same distance of centres.

    Of two sets drawn from one distribution with variance V it is V/n + V/m on average and not 0:
    only sets of equal n compare, and small sets of real images are no ceiling.
    """
    z, r = unit_pair(generated, reference, ("generated", "reference"))
    return float(np.square(z.mean(axis=0) - r.mean(axis=0)).sum())
