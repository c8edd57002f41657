"""In how many images both concepts of their prompts are, of the miniature world: the truth of
composition."""

from typing import Any

from lycoris_bench.scoring.metrics.base import Array, metric
from lycoris_bench.scoring.metrics.truths import EXPECTED, EXPECTED_SECOND, SEEN, shows
from lycoris_bench.scoring.metrics.two_concepts import COMPOSE


@metric(
    better="higher", encoder=None, inputs=[SEEN, EXPECTED, EXPECTED_SECOND], on_request=True,
    prompt_types=COMPOSE,
)  # fmt: skip
def both_shown(seen: Any, expected: Any, expected_second: Any) -> Array:
    """1 for each image in which the concept oracle sees both concepts, else 0.

    seen: n readings; expected, expected_second: a reading each -> [n].
    """
    return shows(seen, expected) * shows(seen, expected_second)
