"""The world's rendering styles: each turns layers into one picture.

A style sees colours, masks and contours but never the scene, so it cannot depend on the content.
All work on the supersampled canvas; lengths are in supersampled pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from lycoris_bench.miniature.world.canvas import Layers

Style = Callable[[Layers, np.random.Generator], np.ndarray]


def to_image(a: np.ndarray) -> Image.Image:
    """Float array in 0..1, (h, w, 3) or (h, w, 1), to an 8-bit image."""
    a = (np.clip(a, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    return Image.fromarray(a[..., 0] if a.shape[-1] == 1 else a)


def to_array(image: Image.Image) -> np.ndarray:
    """The inverse of `to_image`."""
    a = np.asarray(image, dtype=np.float32) / 255.0
    return a[..., None] if a.ndim == 2 else a


def blur(a: np.ndarray, radius: float) -> np.ndarray:
    """Gaussian blur of a picture or a mask."""
    return to_array(to_image(a).filter(ImageFilter.GaussianBlur(radius)))


def grow(mask: np.ndarray, size: int) -> np.ndarray:
    """The mask grown by (size - 1) / 2 pixels; size is odd."""
    return to_array(to_image(mask).filter(ImageFilter.MaxFilter(size)))


def over(back: np.ndarray, front: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Front over back where mask is 1."""
    return back + (front - back) * mask


def noise(shape: tuple[int, ...], cells: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise in 0..1 with about `cells` blobs along the width, (h, w, 1)."""
    small = rng.integers(0, 256, (max(2, cells * shape[0] // shape[1]), cells)).astype(np.uint8)
    big = Image.fromarray(small).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(big, dtype=np.float32)[..., None] / 255.0


def grid(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates y, x as (h, 1, 1) and (1, w, 1)."""
    y, x = np.arange(shape[0], dtype=np.float32), np.arange(shape[1], dtype=np.float32)
    return y[:, None, None], x[None, :, None]


def saturate(a: np.ndarray, factor: float) -> np.ndarray:
    """Colours moved away from (factor > 1) or towards their grey."""
    grey = a.mean(-1, keepdims=True)
    return np.clip(grey + (a - grey) * factor, 0, 1)


def flat(layers: Layers) -> np.ndarray:
    """The unstyled picture."""
    return over(layers.back, layers.front, layers.mask)


def photo(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Light from above, a soft shadow and a background out of focus."""
    y, x = grid(layers.mask.shape)
    soft = blur(layers.mask, 7)
    shadow = np.roll(soft, (7, 9), axis=(0, 1))
    back = blur(layers.back, 2.0) * (1 - 0.38 * shadow)
    light = 1.14 - 0.30 * y / layers.mask.shape[0] - 0.06 * x / layers.mask.shape[1]
    shade = light * (0.66 + 0.40 * np.clip(soft * 1.6 - 0.5, 0, 1))
    return over(back, layers.front * shade, blur(layers.mask, 0.8))


def pencil(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Coloured pencil: hatched fills and thin contours on paper."""
    y, x = grid(layers.mask.shape)
    tilt = rng.uniform(0.7, 1.1)
    wobble = 5 * noise(layers.mask.shape, 6, rng)
    hatch = 0.5 + 0.5 * np.sin((x * tilt + y + wobble) * 2 * np.pi / 13)
    cross = 0.5 + 0.5 * np.sin((x * tilt - y + wobble) * 2 * np.pi / 13)
    paper = np.array([0.985, 0.98, 0.95], dtype=np.float32)
    back = paper + (layers.back - paper) * (0.36 + 0.18 * cross)
    front = paper + (layers.front - paper) * (0.62 + 0.34 * hatch)
    back = back * (1 - 0.45 * layers.back_ink)
    line = np.clip(grow(layers.mask, 5) - layers.mask, 0, 1)
    out = over(back, front, layers.mask)
    return out * (1 - 0.6 * np.maximum(layers.front_ink, line))


def watercolor(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Pale washes with wet edges that run a little."""
    shape = layers.mask.shape
    wash = noise(shape, 5, rng)
    mask = np.clip((blur(layers.mask, 4) + 0.25 * (noise(shape, 14, rng) - 0.5)) * 2.4 - 0.7, 0, 1)
    edge = np.clip(mask - blur(mask, 5), 0, 1) * 0.8
    front = blur(layers.front * layers.mask, 2) / np.maximum(blur(layers.mask, 2), 0.05)
    paper = np.array([0.99, 0.985, 0.96], dtype=np.float32)
    back = paper + (blur(layers.back, 5) - paper) * (0.40 + 0.35 * wash)
    halo = np.clip(blur(grow(layers.mask, 11), 3) - mask, 0, 1)
    back = over(back, paper, 0.55 * halo)
    front = paper + (front - paper) * (0.68 + 0.22 * (1 - wash) + edge)
    return over(back, np.clip(front, 0, 1), mask)


def pixel_art(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """A 32-row sprite: hard pixels, few levels, a black contour."""
    height, width = layers.mask.shape[:2]
    size = (round(width / 6), round(height / 6))
    small = [
        to_array(to_image(a).resize(size, Image.Resampling.BOX))
        for a in (layers.back, layers.front * layers.mask, layers.mask)
    ]
    mask = (small[2] > 0.5).astype(np.float32)
    front = small[1] / np.maximum(small[2], 0.3)
    out = np.round(over(small[0], front, mask) * 5) / 5
    out = out * (1 - 0.92 * (grow(mask, 3) - mask))
    return to_array(to_image(out).resize((width, height), Image.Resampling.NEAREST))


def neon(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Glowing contours over a dark picture."""
    ink = grow(layers.front_ink * layers.mask, 3)
    glow = np.clip(layers.front * 1.2 + 0.12, 0, 1)
    spread = blur(ink, 6) * 1.6
    back = layers.back * 0.30 + 0.8 * layers.back * grow(layers.back_ink, 3)
    out = over(back, layers.front * 0.42, layers.mask)
    ring = np.clip(grow(layers.mask, 5) - layers.mask, 0, 1)
    halo = blur(grow_colour(glow, layers.mask), 6)
    out = out + halo * np.clip(blur(ring, 7) * 2.2, 0, 1) * 0.8
    return np.clip(
        over(out, glow, np.maximum(ink, 0.25 * np.clip(spread, 0, 1) * layers.mask)), 0, 1
    )


def grow_colour(colour: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The colour inside the mask carried outwards, for halos."""
    return blur(colour * mask, 12) / np.maximum(blur(mask, 12), 0.02)


def oil(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Thick strokes that follow a flowing direction."""
    scene = over(blur(layers.back, 3), layers.front, layers.mask)
    height, width = scene.shape[:2]
    base = to_image(saturate(scene, 1.15))
    pixels: Any = base.load()
    out = base.copy()
    pen, phase = ImageDraw.Draw(out), rng.uniform(0, 6)
    for length, thick, count in ((26, 10, 150), (12, 6, 170)):
        xs, ys = rng.integers(0, width, count), rng.integers(0, height, count)
        tints = rng.normal(0, 13, count)
        angles = 0.8 * np.sin(xs / 40 + phase) + 0.8 * np.cos(ys / 35 + phase)
        dx, dy = length / 2 * np.cos(angles), length / 2 * np.sin(angles)
        for x, y, tint, i, j in zip(*(a.tolist() for a in (xs, ys, tints, dx, dy)), strict=True):
            fill = tuple(int(min(255, max(0, v + tint))) for v in pixels[x, y])
            pen.line((x - i, y - j, x + i, y + j), fill=fill, width=thick)
    painted = to_array(out)
    inside = 0.62 * np.maximum(layers.mask, 0.25) * (1 - 0.5 * noise(layers.mask.shape, 12, rng))
    painted = over(painted, to_array(base), inside)
    grey = blur(painted.mean(-1, keepdims=True), 1.5)
    relief = grey - np.roll(grey, (2, 2), axis=(0, 1))
    return np.clip(painted + 0.5 * relief, 0, 1)


def comic(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Flat colours, thick black contours and halftone dots in the background."""
    y, x = grid(layers.mask.shape)
    dots = (np.sin(x * np.pi / 9) * np.sin(y * np.pi / 9) > 0.55).astype(np.float32)
    back = saturate(np.round(layers.back * 4) / 4 * 0.75 + 0.25, 1.1) * (1 - 0.22 * dots)
    back = back * (1 - 0.7 * layers.back_ink)
    out = over(back, saturate(layers.front, 1.25), layers.mask)
    ring = np.clip(grow(layers.mask, 7) - layers.mask, 0, 1)
    return out * (1 - 0.95 * np.maximum(grow(layers.front_ink * layers.mask, 3), ring))


STYLES: dict[str, Style] = {
    "photo": photo,
    "pencil": pencil,
    "watercolor": watercolor,
    "pixel art": pixel_art,
    "neon": neon,
    "oil painting": oil,
    "comic": comic,
}
