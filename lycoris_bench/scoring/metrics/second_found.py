"""In how many images of two concepts the second is found, as far as an encoder can tell."""

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
def second_found(generated: Any, reference: Any, second_reference: Any) -> Array:
    """1 for each image two thirds of the way from the first concept's to the second's, else 0.

    generated [n, d], reference [m, d], second_reference [k, d] -> [n] (`two_concepts.found`).
    """
    return found(generated, second_reference, reference, SIDES[::-1])
