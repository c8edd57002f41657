"""Resizes pixels on any device to the very bytes of PIL's bicubic, antialiased `resize`.

PIL adds whole numbers: weights of 22 bits times pixels of 8. Float64 holds such sums exactly, so a
matrix product gives the same bytes wherever it runs, in whatever order it adds."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from lycoris_bench.scoring.encoders import resize

BICUBIC = Image.Resampling.BICUBIC
BITS = 22  # of a weight after the point
REACH = 2.0  # of the cubic, in pixels of the smaller image


def resized(pixels: Tensor, mode: str, size: int) -> Tensor:
    """As `resize.resized`, of a batch: uint8 [n, 3, h, w] -> uint8 [n, 3, h', w']."""
    return MODES[mode](pixels, size)


def resampled(pixels: Tensor, width: int, height: int) -> Tensor:
    """uint8 [..., h, w] -> uint8 [..., height, width], as PIL's `resize`."""
    h, w = pixels.shape[-2:]
    passes = _order(w, h, width, height)
    if passes is None:
        return _by_pil(pixels, width, height)
    for one in passes:
        pixels = one(pixels, width, height)
    return pixels


def _columns(pixels: Tensor, width: int, _: int) -> Tensor:
    n = pixels.shape[-1]
    return pixels if n == width else _bytes(pixels.double() @ _weights(n, width, pixels.device).T)


def _rows(pixels: Tensor, _: int, height: int) -> Tensor:
    n = pixels.shape[-2]
    return pixels if n == height else _bytes(_weights(n, height, pixels.device) @ pixels.double())


@lru_cache(maxsize=4096)
def _order(w: int, h: int, width: int, height: int) -> tuple[Callable[..., Tensor], ...] | None:
    """Which pass comes first, which decides the last bit: that of PIL, seen on a picture of noise,
    since its versions differ. None: it is neither, and PIL itself has to resize."""
    noise = torch.randint(256, (3, h, w), dtype=torch.uint8, generator=torch.Generator())
    found = _by_pil(noise, width, height)
    for first, second in ((_columns, _rows), (_rows, _columns)):
        if torch.equal(second(first(noise, width, height), width, height), found):
            return first, second
    return None


def _by_pil(pixels: Tensor, width: int, height: int) -> Tensor:
    """The same by PIL itself, on the CPU, image by image."""
    images = pixels.reshape(-1, *pixels.shape[-3:]).permute(0, 2, 3, 1).cpu().numpy()
    done = [Image.fromarray(image).resize((width, height), BICUBIC) for image in images]
    made = torch.from_numpy(np.stack(list(map(np.asarray, done)))).permute(0, 3, 1, 2)
    return made.reshape(*pixels.shape[:-2], height, width).to(pixels.device)


def _bytes(sums: Tensor) -> Tensor:
    """Sums of weighted pixels, rounded half up and cut to a byte."""
    return ((sums + 2 ** (BITS - 1)) / 2**BITS).floor().clamp(0, 255).to(torch.uint8)


@lru_cache(maxsize=64)
def _weights(n: int, m: int, device: torch.device) -> Tensor:
    """The weights [m, n] of n pixels in each of m, in units of 2^-BITS, as whole float64s."""
    ratio = n / m
    grown = max(ratio, 1.0)  # antialiased: the cubic covers as many pixels as become one
    weights = np.zeros((m, n))
    for k in range(m):
        centre = (k + 0.5) * ratio
        first = max(0, int(centre - REACH * grown + 0.5))
        last = min(n, int(centre + REACH * grown + 0.5))
        row = _cubic((np.arange(first, last) - centre + 0.5) * (1 / grown))
        total = 0.0
        for value in row.tolist():  # one after the other, as PIL adds them
            total += value
        row = row / total * 2**BITS
        weights[k, first:last] = np.trunc(row + np.copysign(0.5, row))
    return torch.from_numpy(weights).to(device)


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' cubic with a = -1/2."""
    a, x = -0.5, np.abs(x)
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


def _scale(pixels: Tensor, size: int) -> Tensor:
    height, width = pixels.shape[-2:]
    return resampled(pixels, *resize.scaled(width, height, size))


def _letterbox(pixels: Tensor, size: int) -> Tensor:
    height, width = pixels.shape[-2:]
    width, height = resize.inside(width, height, size)
    left, top = (size - width) // 2, (size - height) // 2
    bars = left, size - width - left, top, size - height - top
    return pad(resampled(pixels, width, height), bars)


def _crop(pixels: Tensor, size: int) -> Tensor:
    whole = _scale(pixels, size)
    top, left = (round((side - size) / 2) for side in whole.shape[-2:])
    return whole[..., top : top + size, left : left + size]


MODES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "scale": _scale,
    "letterbox": _letterbox,
    "crop": _crop,
    "stretch": lambda pixels, size: resampled(pixels, size, size),
}
