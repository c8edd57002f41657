"""How often the object that a prompt asks for is there, of the miniature world."""

from typing import Any

from lycoris_bench.scoring.metrics.base import Array, metric
from lycoris_bench.scoring.metrics.truths import SEEN, request, shown

REQUESTS = request("object")


@metric(
    better="higher", encoder=None, inputs=[SEEN, REQUESTS], on_request=True,
    prompt_types=("alter",),
)  # fmt: skip
def object_shown(seen: Any, requests: Any) -> Array:
    """1 for each image with the object that its prompt names, else 0.

    seen: n readings; requests: n readings of what is named alone -> [n].
    """
    return shown(seen, requests, "object")
