"""How fast a base model is here, in seconds that do not depend on its size: small passes first,
larger ones while there is time, the rest by area."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch

from lycoris_bench.diffusion.backbone import Backbone
from lycoris_bench.diffusion.conditioning import frame

BUDGET = 6.0  # seconds that passes may take
SMALLEST = 64  # pixels a side from which a pass is timed: below, overheads are all there is


class Pace(NamedTuple):
    """Seconds of one U-Net pass and of one decoding, of one image at full size, and the size at
    which the pass was timed."""

    forward: float
    decode: float
    width: int
    height: int


@torch.inference_mode()
def pace(backbone: Backbone, width: int, height: int, budget: float = BUDGET) -> Pace:
    """Timed on this backbone, in its precision: one image a pass, noise and an empty prompt."""
    text = backbone.condition([""])

    def forward(w: int, h: int) -> float:
        noise = _noise(backbone, w, h)
        framed = backbone.framed(text, [frame((w, h), (w, h))])
        t = torch.tensor(0, device=backbone.device)
        return _seconds(lambda: backbone.predict(noise, t, framed).sum().item())

    def decode(w: int, h: int) -> float:
        noise = _noise(backbone, w, h)
        return _seconds(lambda: backbone.pixels(noise).sum().item())

    small = next(sizes(width, height))
    decoded, _ = extrapolated(decode, [small], budget / 4)
    seconds, timed = extrapolated(forward, sizes(width, height), budget)
    area = width * height
    return Pace(
        seconds * area / (timed[0] * timed[1]), decoded * area / (small[0] * small[1]), *timed
    )


def sizes(width: int, height: int) -> Iterator[tuple[int, int]]:
    """From about SMALLEST a side up to the whole, each of four times the area.

    >>> list(sizes(512, 512)), list(sizes(48, 64))
    ([(64, 64), (128, 128), (256, 256), (512, 512)], [(48, 64)])
    """
    halvings = int(max(0, math.log2(min(width, height) / SMALLEST)))
    for k in range(halvings, 0, -1):
        yield (width >> k) // SMALLEST * SMALLEST, (height >> k) // SMALLEST * SMALLEST
    yield width, height


def extrapolated(
    timed: Callable[[int, int], float], tried: Iterable[tuple[int, int]], budget: float
) -> tuple[float, tuple[int, int]]:
    """Seconds of the largest size that the budget has room for, and that size.

    `timed(w, h)` is called twice a size, the first time to warm up, as long as the next call is
    expected to fit: it grows with the area."""
    spent, seconds, last = 0.0, 0.0, (0, 0)
    for size in tried:
        grown = size[0] * size[1] / (last[0] * last[1]) if last[0] else 0.0
        if spent + 2 * grown * seconds > budget:
            break
        seconds, last = timed(*size), size
        spent += seconds
        if spent + seconds <= budget:
            again = timed(*size)
            spent, seconds = spent + again, min(seconds, again)
    return seconds, last


def _noise(backbone: Backbone, width: int, height: int) -> torch.Tensor:
    scale = backbone.vae_scale
    shape = (1, backbone.vae.config.latent_channels, height // scale, width // scale)
    return torch.zeros(shape, device=backbone.device)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()  # reads a number off the device, so that its work is done
    return time.perf_counter() - start
