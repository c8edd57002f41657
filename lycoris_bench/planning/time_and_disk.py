"""Estimates the time left for a study, and the disk space of all of it.

Rates are measured: from the cost of stored checkpoints if there are any, by a trial of a study's
own work (`planning.trial`), or by passes of the base model's U-Net that take seconds
(`planning.pace`). A rate is assumed where the base model is missing, and `--rate` replaces it."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from torch import nn

from lycoris_bench.adapters.attach import attach
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.models.outline import outline
from lycoris_bench.planning import class_images, trial
from lycoris_bench.planning.pace import BUDGET, Pace, pace
from lycoris_bench.planning.plan import Plan
from lycoris_bench.planning.resolve import PLACEHOLDER
from lycoris_bench.planning.status import Status
from lycoris_bench.run.store import Store
from lycoris_bench.sampling.batch_size import least
from lycoris_bench.sampling.prepared import optimize_for_inference
from lycoris_bench.study.records import BASE_CHECKPOINT
from lycoris_bench.training.run import DTYPES

LONGEST = 6.0  # seconds that a batch of images may take to be drawn as a trial
BACKWARD = 2.0  # a backward pass costs about two forward passes
PNG = 1.85  # bytes a pixel of a stored PNG, as the demo's images have


class Rate(NamedTuple):
    """Training steps and images per second of one process, images scored per second where that is
    known, and the source of the figures."""

    steps: float
    images: float
    source: str
    scored: float | None = None


# Stable Diffusion 1.5 at 512x512 in batches of 8 on one H100-class GPU: estimated and not measured.
# An image of 25 guided steps is 42.7 TFLOP. diffusers draws 8 of 50 steps in 7.04 s on an A100 in
# fp16 (its pull request 2764): 97 TFLOP/s; an H100 is 1.7 to 2.1 times as fast: 4 a second. A step
# on 8 images with two chunks of text is 15.7 TFLOP, at 150 to 180 TFLOP/s and 40 ms besides: 7.
ASSUMED = Rate(7.0, 4.0, "assumed of one H100-class GPU, --rate gives your own")


def given(text: str) -> Rate:
    """A rate from its text: `7,4` is 7 training steps and 4 images per second. BenchError: it is
    not two positive numbers."""
    try:
        steps, images = (float(part) for part in text.split(","))
        if not all(1e-9 < rate < 1e9 for rate in (steps, images)):
            raise ValueError
    except ValueError:
        raise BenchError(
            f"--rate is '{text}'; two numbers above 0 are needed, training steps and images "
            "a second, like 7,4"
        ) from None
    return Rate(steps, images, "as given")


def steps_left(status: Status) -> int:
    """The number of training steps to all checkpoints that are needed and not stored."""
    plan, training = status.plan, 0
    for run in plan.by_run():
        lacking = [c for c in run if status.needs_weights(c) and not status.is_trained(c)]
        if lacking:
            training += plan.steps(lacking[-1].epoch or 0, lacking[-1].configuration)
    return training


def measured(plan: Plan, store: Store, device: str) -> Rate:
    """The rate of this machine: by the cost of checkpoints that are trained, and else by a trial of
    the study's own work where passes of the U-Net say that it takes seconds; else by the passes
    alone, of the model that draws and of the one that is trained, in `sampling.precision`."""
    settings = plan.study.settings
    sampling, training = settings.sampling, settings.training
    side, width, height = training.resolution, sampling.width, sampling.height
    cards = [store.card(checkpoint) for checkpoint in plan.trained]
    costs = [card.cost for card in cards if card and card.status == "done"]
    alike = (settings.base_model, side, side) == (plan.base_model, width, height)
    budget = BUDGET if costs or alike else BUDGET / 2
    drawn = _pace(
        plan.base_model, device, sampling.computed_in, width, height, least(sampling), budget
    )
    passes = 2 if sampling.guidance > 1 else 1
    image = passes * sampling.steps * drawn.forward + drawn.decode
    tried = image * least(sampling) <= LONGEST
    if tried:
        image = trial.seconds_an_image(plan, device, DTYPES[sampling.computed_in])
    if costs:
        step = sum(c["seconds"] for c in costs) / sum(c["steps"] for c in costs)
    else:
        tuned = drawn
        if not alike:
            tuned = _pace(
                settings.base_model, device, sampling.computed_in, side, side, training.batch_size,
                budget,
            )  # fmt: skip
        step = (1 + BACKWARD) * tuned.forward * training.batch_size * training.gradient_accumulation
        if step <= LONGEST / 8:
            step = _over_runs(plan, trial.seconds_a_step(plan, device))
        step *= _batches(plan)
    scored = trial.seconds_a_scored_image(plan, device) if tried else None
    source = _source(drawn, sampling.computed_in, bool(costs), tried)
    return Rate(1 / step, 1 / image, source, scored and 1 / scored)


def _over_runs(plan: Plan, seconds: Mapping[str, float]) -> float:
    """The mean seconds of a step over all trainings of a study, from those of each algorithm."""
    steps = [
        (run[0].configuration.algorithm, plan.steps(run[-1].epoch or 0, run[0].configuration))
        for run in plan.by_run()
    ]
    return sum(seconds[name] * n for name, n in steps) / sum(n for _, n in steps)


def _batches(plan: Plan) -> float:
    """How many batches a step of the study shows on average: its images, and where a training is
    held to class images as many of those."""
    runs = [run[-1] for run in plan.by_run()]
    steps = [plan.steps(last.epoch or 0, last.configuration) for last in runs]
    shown = [plan.study.batches_a_step(last.configuration) for last in runs]
    return sum(n * s for n, s in zip(shown, steps, strict=True)) / sum(steps) if any(steps) else 1.0


def _pace(
    name: str, device: str, precision: str, width: int, height: int, batch: int, budget: float
) -> Pace:
    backbone = optimize_for_inference(Backbone.load(name, device, DTYPES[precision]))
    return pace(backbone, width, height, batch, budget)


def _source(drawn: Pace, precision: str, trained: bool, tried: bool) -> str:
    cards = " and by the checkpoints that are trained" if trained else ""
    if tried:
        return f"measured here by a trial in {precision}{cards}"
    return (
        f"measured here by U-Net passes of {drawn.rows} x {drawn.width} x {drawn.height} pixels "
        f"in {precision}{cards}"
    )


def class_images_left(status: Status) -> int:
    """The number of class images to draw before trainings that are left."""
    drawing = status.plan.class_images
    if drawing is None or not steps_left(status):
        return 0
    return Status(drawing, class_images.store_of(status.store)).lacking(BASE_CHECKPOINT)


def drawn_share(plan: Plan) -> float:
    """The share of a checkpoint's images that has to be drawn: those that it asks for more than
    once, of prompts that name no class, are drawn once."""
    queue = plan.jobs(BASE_CHECKPOINT)
    return len({job.uid for job in queue}) / len(queue) if queue else 1.0


def disk_bytes(plan: Plan) -> tuple[int, int | None, int | None]:
    """(bytes of all images, of all checkpoints in fp16, of each run's last checkpoint) of the
    complete study; the latter are None where the base model is missing and not known by name."""
    sampling = plan.study.settings.sampling
    images = sum(plan.image_count(checkpoint) for checkpoint in plan.checkpoints)
    counted = parameters(plan)
    weights = last = None
    if counted is not None:
        weights = sum(2 * counted[c.configuration.name] for c in plan.trained)
        last = sum(2 * counted[run[-1].configuration.name] for run in plan.by_run())
    pixels = images * sampling.width * sampling.height
    if plan.class_images:
        side = plan.study.settings.training.resolution
        pixels += plan.class_images.image_count(BASE_CHECKPOINT) * side**2
    return int(pixels * PNG), weights, last


_counted: dict[tuple[object, ...], int] = {}  # of this process, which may plan many studies


def parameters(plan: Plan) -> dict[str, int] | None:
    """Trained parameters of each configuration, counted on a base model of torch's meta device.
    None where the base model is missing and not known by name."""
    base = (plan.study.settings.base_model, plan.base_uid)
    shapes = _shapes(*base)
    if shapes is None:
        return None
    by_name: dict[str, int] = {}
    for c in dict.fromkeys(checkpoint.configuration for checkpoint in plan.trained):
        shape = (*base, c.algorithm, c.preset, c.layers, c.options)  # the same at every rate
        if shape not in _counted:
            network = attach(*shapes, plan.study.preset(c), c.algorithm, c.keywords, 0)
            _counted[shape] = network.parameter_count
            network.detach()
        by_name[c.name] = _counted[shape]
    return by_name


@lru_cache(maxsize=2)
def _shapes(name: str, base_uid: str) -> tuple[nn.Module, list[nn.Module]] | None:
    """The U-Net and the text encoders of a base model, without weights."""
    if known := outline(name):
        return known.unet, list(known.text_encoders)
    if base_uid == PLACEHOLDER:
        return None
    backbone = Backbone.load(name)
    return backbone.unet.to("meta"), [encoder.to("meta") for encoder in backbone.text_encoders]
