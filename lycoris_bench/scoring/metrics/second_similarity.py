"""How alike the generated images and the dataset's of the second concept are."""

from typing import Any

from lycoris_bench.scoring.metrics.arrays import unit_pair
from lycoris_bench.scoring.metrics.base import Array, metric
from lycoris_bench.scoring.metrics.two_concepts import COMPOSE, SECOND_REFERENCE


@metric(better="higher", encoder="image", inputs=[SECOND_REFERENCE], prompt_types=COMPOSE)
def second_similarity(generated: Any, second_reference: Any) -> Array:
    """Mean cosine of each generated image to the dataset images of the second concept.

    generated [n, d], second_reference [k, d] -> [n]. What `image_similarity` is of the first.
    """
    z, r = unit_pair(generated, second_reference, ("generated", "second_reference"))
    similarity: Array = z @ r.mean(axis=0)
    return similarity
