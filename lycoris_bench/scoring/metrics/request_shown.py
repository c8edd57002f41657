"""How much of what a prompt asks for is there, of the miniature world: the truth of control."""

from typing import Any

from lycoris_bench.scoring.metrics.base import Array, metric
from lycoris_bench.scoring.metrics.truths import SEEN, request, shown

REQUESTS = request()


@metric(
    better="higher", encoder=None, inputs=[SEEN, REQUESTS], on_request=True,
    prompt_types=("alter", "style"),
)  # fmt: skip
def request_shown(seen: Any, requests: Any) -> Array:
    """The share of what each prompt asks for besides the concept that its image shows.

    seen: n readings; requests: n readings of what is named alone -> [n], in [0, 1]. Asked
    for are objects, their colours, places, styles, positions and sizes.
    """
    return shown(seen, requests)
