"""In how many images the concept is, of the miniature world: the truth of fidelity and of leak."""

from typing import Any

from lycoris_bench.scoring.metrics.base import Array, metric
from lycoris_bench.scoring.metrics.truths import EXPECTED, SEEN, shows


@metric(better="higher", encoder=None, inputs=[SEEN, EXPECTED], on_request=True)
def concept_shown(seen: Any, expected: Any) -> Array:
    """1 for each image in which the concept oracle sees the concept, else 0.

    seen: n readings; expected: one reading, all of which has to be there -> [n]. A character's
    medium is part of it but for style prompts, and beside a style, which ask for another.
    """
    return shows(seen, expected)
