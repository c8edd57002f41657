"""In how many images of two concepts both are found, as far as an encoder can tell."""

from typing import Any

from lycoris_bench.scoring.metrics.base import Array, metric
from lycoris_bench.scoring.metrics.two_concepts import (
    COMPOSE,
    SECOND_REFERENCE,
    SEVERAL,
    SIDES,
    found,
)


@metric(better="higher", encoder="image", inputs=[SECOND_REFERENCE, SEVERAL], prompt_types=COMPOSE)
def both_found(generated: Any, reference: Any, second_reference: Any) -> Array:
    """1 for each image in which the first and the second concept are found, else 0.

    generated [n, d], reference [m, d], second_reference [k, d] -> [n] (`two_concepts.found`).
    """
    first = found(generated, reference, second_reference)
    return first * found(generated, second_reference, reference, SIDES[::-1])
