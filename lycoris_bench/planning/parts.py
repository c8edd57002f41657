"""A checkpoint's queue in parts, so that several workers draw and score it at once."""

import math
from dataclasses import dataclass

from lycoris_bench.planning.plan import Plan
from lycoris_bench.run.tree import PART
from lycoris_bench.study.records import Checkpoint

MOST_IMAGES = 1000  # of a part, as far as batches allow: minutes on a GPU


@dataclass(frozen=True)
class Part:
    """The images of some whole image sets, which follow one another in the queue."""

    number: int
    count: int  # of all parts
    images: slice

    @property
    def name(self) -> str:
        return f"{PART}{self.number:03d}-of-{self.count:03d}"

    def __str__(self) -> str:
        return f"part {self.number} of {self.count}"


def parts(plan: Plan, checkpoint: Checkpoint, most: int | None = None) -> list[Part]:
    """The parts of a checkpoint's queue, of at most so many images, in order. Each begins with a
    batch of scoring, so that batches are those of the whole queue, and with them each bit of a
    score; batches of drawing are the whole queue's wherever it is cut (stages/drawing.py)."""
    settings, total = plan.study.settings, plan.image_count(checkpoint)
    least = math.lcm(settings.sampling.images, settings.scoring.batch_size)
    size = max(1, (most or MOST_IMAGES) // least) * least
    starts = range(0, total, size)
    return [
        Part(number, len(starts), slice(start, min(start + size, total)))
        for number, start in enumerate(starts, 1)
    ]
