"""Batch size "auto": how many images are drawn at once, found by a trial of this machine.

The first drawing of a process times one denoising step of 8 images, then of twice as many for as
long as that gives more images a second. What it finds holds for the process. It is no part of what
images are: another size chooses other kernels, whose last digits differ."""

import math
import time
from collections.abc import Callable, Sequence

import torch

from lycoris_bench.models.backbone import Backbone
from lycoris_bench.sampling.denoise import compiled, guided
from lycoris_bench.sampling.memory import free_cache, ran_out
from lycoris_bench.sampling.sample import PromptConditioning, initial_noise
from lycoris_bench.study.settings import Sampling

FIRST = 8  # images, where nothing was tried
MOST_ON_CPU, MOST = 64, 128
GAIN = 1.05  # times as many images a second: below, the memory is worth more
SLOW = 2.0  # seconds of a step: a larger one is not tried
STEPS = 2  # of each size, of which the first warms up
SHARE = 0.015  # of the drawing that a trial may take at most
_tried: dict[tuple[object, ...], int] = {}  # of this process


def least(sampling: Sampling) -> int:
    """The batch size that a study gives, or the one that "auto" begins with."""
    return FIRST if sampling.batch_size == "auto" else sampling.batch_size


def settled(
    sampling: Sampling, backbone: Backbone, embeddings: PromptConditioning,
    prompts: Sequence[str], *, uid: str, left: int,
) -> int:  # fmt: skip
    """The batch size that the study gives; for "auto" the one that a trial finds for the model of
    this `uid`, whose process has `left` images to draw, these prompts at once at most. A compiled
    U-Net is not tried: it would be compiled for each size."""
    if sampling.batch_size != "auto":
        return sampling.batch_size
    most = largest(len(prompts), left * sampling.steps, backbone.device.type)
    if most == FIRST or compiled(backbone):
        return FIRST
    size = (sampling.width, sampling.height)
    key = (uid, *size, sampling.guidance > 1, backbone.dtype, str(backbone.device), most)
    if key not in _tried:
        _tried[key] = fastest(_Step(sampling, backbone, embeddings, prompts).seconds, most)
    return _tried[key]


def largest(images: int, steps: int, device: str) -> int:
    """The largest size to try on a device of this type, for a batch of at most so many images and a
    process that has so many steps of an image to compute. The trial of all sizes up to it takes at
    most SHARE of these.

    >>> [largest(1000, images * 25, "cpu") for images in (127, 128, 299, 639, 640, 10_000)]
    [8, 16, 32, 32, 64, 64]
    >>> largest(40, 10_000 * 25, "cpu"), largest(1000, 10_000 * 25, "cuda")
    (32, 128)
    """
    most = min(images, MOST_ON_CPU if device == "cpu" else MOST)
    size = FIRST
    while 2 * size <= most and STEPS * (4 * size - FIRST) <= SHARE * steps:
        size *= 2
    return size


def fastest(seconds: Callable[[int], float], most: int) -> int:
    """The size from which doubling gives less than GAIN, of 8, 16, 32, ... up to `most`.

    `seconds` gives those of a step by its number of images, infinite where memory runs out; it is
    asked for rising sizes, and for none after a step that is SLOW."""
    size, taken = FIRST, seconds(FIRST)
    while 2 * size <= most and taken <= SLOW:
        doubled = seconds(2 * size)
        if doubled * GAIN > 2 * taken:
            break
        size, taken = 2 * size, doubled
    return size


class _Step:
    """One denoising step of the first prompts of a queue."""

    def __init__(
        self, sampling: Sampling, backbone: Backbone, embeddings: PromptConditioning,
        prompts: Sequence[str],
    ) -> None:  # fmt: skip
        self.sampling, self.backbone = sampling, backbone
        self.embeddings, self.prompts = embeddings, prompts
        # A process of one thread counts its own time, which others on the machine do not change.
        own = backbone.device.type == "cpu" and torch.get_num_threads() == 1
        self.clock = time.process_time if own else time.perf_counter

    def seconds(self, images: int) -> float:
        """Seconds of a step of so many images; infinity where memory runs out."""
        try:
            return self._timed(images)
        except (MemoryError, RuntimeError) as error:
            if not ran_out(error):
                raise
        free_cache()
        return math.inf

    @torch.inference_mode()
    def _timed(self, images: int) -> float:
        width, height = self.sampling.width, self.sampling.height
        text = self.embeddings(self.prompts[:images])
        text = self.backbone.framed(text, [((width, height), (width, height))] * 2 * images)
        predict = guided(self.backbone, text, self.sampling.guidance)
        noise = initial_noise(self.backbone, range(images), width, height)
        t = torch.tensor(500, device=self.backbone.device)
        taken = math.inf
        for _ in range(STEPS):
            start = self.clock()
            predict(noise, t).sum().item()  # a number off the device, so that its work is done
            taken = self.clock() - start
            if taken > SLOW and self.backbone.device.type == "cpu":
                break
        return taken
