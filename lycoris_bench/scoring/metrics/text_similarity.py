"""How well each image shows what its own text says."""

from typing import Any

import numpy as np

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.scoring.metrics.arrays import unit_pair
from lycoris_bench.scoring.metrics.base import Array, metric


@metric(better="higher", encoder="text")
def text_similarity(generated: Any, text: Any) -> Array:
    """Cosine of each image with its own text in the joint space (paper, appendix D.4).

        s_i = <z^_i, t^_i> in [-1, 1]

    generated [n, d], text [n, d] -> [n]. The text is the rewritten prompt (no trigger word,
    see study/wording.py), row i that of image i: never all pairs.
    """
    z, t = unit_pair(generated, text, ("generated", "text"))
    if len(z) != len(t):
        raise BenchError(
            f"generated has {len(z)} images and text {len(t)} rows; each image needs its own text"
        )
    similarity: Array = np.einsum("nd,nd->n", z, t)
    return similarity
