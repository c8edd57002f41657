"""How alike the generated and the dataset's images are."""

from typing import Any

from lycoris_bench.scoring.metrics.arrays import unit_pair
from lycoris_bench.scoring.metrics.base import Array, metric


@metric(better="higher", encoder="image")
def image_similarity(generated: Any, reference: Any) -> Array:
    """Mean cosine of each generated image to all dataset images (paper, appendix D.4).

        s_i = 1/m sum_j <z^_i, r^_j> = <z^_i, mean r^>,    S_C = mean s_i in [-1, 1]

    generated [n, d], reference [m, d] -> [n]. The inner product with the mean is the mean of
    the inner products, so that the n x m matrix is never made.
    """
    z, r = unit_pair(generated, reference, ("generated", "reference"))
    similarity: Array = z @ r.mean(axis=0)
    return similarity
