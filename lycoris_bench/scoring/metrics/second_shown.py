"""In how many images the second concept of their prompts is, of the miniature world."""

from typing import Any

from lycoris_bench.scoring.metrics.base import Array, metric
from lycoris_bench.scoring.metrics.truths import EXPECTED_SECOND, SEEN, shows
from lycoris_bench.scoring.metrics.two_concepts import COMPOSE


@metric(
    better="higher", encoder=None, inputs=[SEEN, EXPECTED_SECOND], on_request=True,
    prompt_types=COMPOSE,
)  # fmt: skip
def second_shown(seen: Any, expected_second: Any) -> Array:
    """1 for each image in which the concept oracle sees the second concept, else 0.

    seen: n readings; expected_second: one reading -> [n]. What `concept_shown` is of the first.
    """
    return shows(seen, expected_second)
