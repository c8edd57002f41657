"""Measures the speed of a base model on this machine within a budget of seconds: times passes on
small images, then larger ones while time is left, and extrapolates to the full size."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch

from lycoris_bench.models.backbone import Backbone
from lycoris_bench.sampling.denoise import guided

BUDGET = 6.0  # seconds that passes may take
SMALLEST = 64  # pixels a side: smaller passes would time overheads alone


class Pace(NamedTuple):
    """Seconds per full-size image of a U-Net pass, as drawing does it, and of VAE decoding;
    `width`, `height` and `rows` are the size and number of the images in the largest timed pass."""

    forward: float
    decode: float
    width: int
    height: int
    rows: int = 1


@torch.inference_mode()
def pace(
    backbone: Backbone, width: int, height: int, batch: int = 1, budget: float = BUDGET
) -> Pace:
    """Measures this backbone in its precision: passes of one image with an empty prompt, and of a
    whole batch where the budget allows."""

    def forward(w: int, h: int, rows: int = 1) -> float:
        noise = _noise(backbone, w, h).expand(rows, -1, -1, -1)
        text = backbone.condition([""] * 2 * rows)
        predict = guided(backbone, backbone.framed(text, [((w, h), (w, h))] * 2 * rows), 1.0)
        t = torch.tensor(0, device=backbone.device)
        return _seconds(lambda: predict(noise, t).sum().item())

    def decode(w: int, h: int) -> float:
        noise = _noise(backbone, w, h)
        return _seconds(lambda: backbone.pixels(noise).sum().item())

    decoded = timings(decode, [next(sizes(width, height))], budget / 4)
    passes = timings(forward, sizes(width, height), budget)
    area = width * height
    one, last = grown(passes, area), list(passes)[-1]
    if batch > 1 and last == (width, height) and 2 * batch * one <= budget:
        several = min(forward(width, height, batch) for _ in range(2)) / batch
        return Pace(several, grown(decoded, area), *last, batch)
    return Pace(one, grown(decoded, area), *last)


def sizes(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Sizes from about SMALLEST a side up to the full one, each with four times the area.

    >>> list(sizes(512, 512)), list(sizes(48, 64))
    ([(64, 64), (128, 128), (256, 256), (512, 512)], [(48, 64)])
    """
    halvings = int(max(0, math.log2(min(width, height) / SMALLEST)))
    for k in range(halvings, 0, -1):
        yield (width >> k) // SMALLEST * SMALLEST, (height >> k) // SMALLEST * SMALLEST
    yield width, height


def timings(
    timed: Callable[[int, int], float], tried: Iterable[tuple[int, int]], budget: float
) -> dict[tuple[int, int], float]:
    """Seconds of `timed` at each size that fits the budget, and at the first size in any case.

    Each size is timed twice, the first time to warm up. A size whose two calls are expected to
    exceed the budget is left out, so that at most twice the budget is spent, or one call."""
    found: dict[tuple[int, int], float] = {}
    spent = 0.0
    for w, h in tried:
        if found and spent + 2 * grown(found, w * h) > budget:
            break
        seconds = timed(w, h)
        spent += seconds
        if spent <= budget:
            again = timed(w, h)
            spent, seconds = spent + again, min(seconds, again)
        found[w, h] = seconds
    return found


def grown(found: dict[tuple[int, int], float], area: int) -> float:
    """Extrapolates seconds to an area n: a·n + b·n² through the last two sizes, the growth of
    convolutions and attention; proportional to n with one size, or where the larger of two is no
    slower per pixel.

    >>> grown({(1, 1): 3.0}, 4), grown({(1, 1): 3.0, (2, 2): 24.0}, 16)
    (12.0, 288.0)
    """
    known = [(w * h, seconds / (w * h)) for (w, h), seconds in found.items()][-2:]
    n, slope = known[-1][0], 0.0
    if len(known) == 2 and n > known[0][0]:
        slope = max(0.0, (known[1][1] - known[0][1]) / (n - known[0][0]))
    return area * (known[-1][1] + slope * (area - n))


def _noise(backbone: Backbone, width: int, height: int) -> torch.Tensor:
    scale = backbone.vae_scale
    shape = (1, backbone.vae.config.latent_channels, height // scale, width // scale)
    return torch.zeros(shape, device=backbone.device)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()  # reads a number off the device, so that its work is done
    return time.perf_counter() - start
