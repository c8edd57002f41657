"""How much a study may ask for."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lycoris_bench.study.records import BASE_CHECKPOINT

if TYPE_CHECKING:
    from lycoris_bench.planning.plan import Plan

MOST = 1_000_000_000  # training steps, or images, of a study
MOST_EPOCH = 10_000_000  # images that an epoch shows: its order is a list
MOST_QUEUE = 1_000_000  # images of one checkpoint: its queue is a list


def too_much(plan: "Plan") -> Iterator[str]:
    """Sentences for counts above the limits, which no memory would hold; no list is made."""
    settings = plan.study.settings
    shown = sum(plan.data.repeats(settings.training.images_per_class))
    steps = sum(plan.steps(run[-1].epoch or 0, run[-1].configuration) for run in plan.by_run())
    images = [plan.image_count(checkpoint) for checkpoint in plan.checkpoints]
    beside = plan.class_images.image_count(BASE_CHECKPOINT) if plan.class_images else 0
    counts = (
        (shown, MOST_EPOCH, "images in an epoch", "training.images_per_class or 'repeats'"),
        (steps, MOST, "training steps", "epochs, seeds or training.images_per_class"),
        (beside, MOST_QUEUE, "class images", "training.prior_preservation.images"),
        (max(images), MOST_QUEUE, "images of one checkpoint", "sampling.images"),
        (sum(images), MOST, "images", "sampling.images, strengths or seeds"),
    )
    for count, most, what, key in counts:
        if count > most:
            yield f"it asks for {count:,} {what}; at most {most:,} are allowed: lower {key}"
