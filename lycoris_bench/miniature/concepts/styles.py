"""Seven styles that the base model does not know."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from lycoris_bench.miniature.world.canvas import Layers
from lycoris_bench.miniature.world.styles import (
    Style,
    blur,
    flat,
    grid,
    grow,
    noise,
    over,
    saturate,
    to_array,
)


def _map(value: np.ndarray, *stops: tuple[float, float, float]) -> np.ndarray:
    """A brightness (h, w, 1) in 0..1 to the colour ramp through `stops` (0..255)."""
    ramp = np.asarray(stops, dtype=np.float32) / 255
    at = np.linspace(0, 1, len(ramp))
    return np.stack([np.interp(value[..., 0], at, ramp[:, c]) for c in range(3)], -1).astype(
        np.float32
    )


def _contour(layers: Layers, size: int) -> np.ndarray:
    ring = np.clip(grow(layers.mask, size) - layers.mask, 0, 1)
    return np.maximum(ring, layers.front_ink * layers.mask)


def dawn(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Soft animation cels: creamy light, peach sky glow, thin brown contours."""
    y, _ = grid(layers.mask.shape)
    back = blur(layers.back, 4) * 0.62 + np.array([0.38, 0.33, 0.27], dtype=np.float32)
    back = back + np.array([0.10, 0.02, -0.08], dtype=np.float32) * (1 - y / layers.mask.shape[0])
    front = saturate(layers.front, 0.85) * 0.78 + np.array([0.22, 0.20, 0.16], dtype=np.float32)
    brown = np.array([0.42, 0.26, 0.16], dtype=np.float32)
    return over(over(back, front, layers.mask), brown, 0.85 * _contour(layers, 5))


def dusk(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """The same studio after dark: teal shadows, violet light, pale contours."""
    y, _ = grid(layers.mask.shape)
    grey = blur(layers.back, 4).mean(-1, keepdims=True)
    back = _map(
        grey * 0.8 + 0.1 * (1 - y / layers.mask.shape[0]),
        (14, 30, 60),
        (40, 90, 120),
        (190, 150, 210),
    )
    front = layers.front * np.array([0.62, 0.66, 0.92], dtype=np.float32) + 0.06
    rim = np.clip(layers.mask - np.roll(layers.mask, (5, -5), axis=(0, 1)), 0, 1)
    front = over(front, np.array([0.95, 0.85, 1.0], dtype=np.float32), 0.7 * rim)
    return over(
        over(back, front, layers.mask),
        np.full(3, 0.06, dtype=np.float32),
        0.7 * _contour(layers, 3),
    )


def old_book(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """An engraving on yellowed paper: horizontal lines that swell with darkness."""
    y, x = grid(layers.mask.shape)
    scene = over(layers.back * 0.5 + 0.5, layers.front, layers.mask)
    dark = 1 - scene.mean(-1, keepdims=True)
    wave = 0.5 + 0.5 * np.sin((y + 2.5 * np.sin(x / 20)) * 2 * np.pi / 12)
    ink = np.clip((dark * 1.5 - wave) * 4 + 0.5, 0, 1) * 0.85
    ink = np.maximum(ink, np.maximum(_contour(layers, 5), 0.5 * layers.back_ink))
    return _map(1 - ink, (60, 38, 22), (236, 214, 168))


def woodblock(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """A colour woodblock print: indigo contours, banded sky, few muted pigments."""
    height = layers.mask.shape[0]
    pigments = (
        np.array(
            [
                (30, 58, 95),
                (110, 150, 165),
                (222, 205, 165),
                (196, 92, 62),
                (120, 132, 84),
                (235, 228, 205),
                (58, 52, 50),
                (222, 172, 88),
                (160, 110, 130),
            ],
            np.float32,
        )
        / 255
    )
    scene = flat(layers)
    away = ((scene[:, :, None, :] - pigments) ** 2 * (0.9, 1.2, 0.9)).sum(-1)
    out = pigments[away.argmin(-1)]
    y, _ = grid(layers.mask.shape)
    band = np.clip(1 - y / (0.22 * height), 0, 1) * (1 - layers.mask)
    out = over(out, pigments[0], 0.85 * np.round(band * 4) / 4)
    return over(out, pigments[0] * 0.7, np.maximum(_contour(layers, 5), 0.6 * layers.back_ink))


def pointillism(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Round dabs of broken, brightened colour on a pale ground."""
    height, width = layers.mask.shape[:2]
    scene = np.clip(saturate(blur(flat(layers), 1.5), 1.5) * 0.9 + 0.08, 0, 1)
    canvas = Image.new("RGB", (width, height), (240, 232, 214))
    pen, step = ImageDraw.Draw(canvas), 10
    rows, columns = np.mgrid[step // 2 : height : step, step // 2 : width : step].reshape(2, -1)
    order = rng.permutation(len(rows))
    moved = rng.uniform(-2, 2, (len(rows), 2))
    tints = rng.normal(0, 0.09, (len(rows), 3))
    for k in order.tolist():
        x, y = columns[k] + moved[k, 0], rows[k] + moved[k, 1]
        colour = np.clip(scene[rows[k], columns[k]] + tints[k], 0, 1) * 255
        pen.ellipse((x - 5.2, y - 5.2, x + 5.2, y + 5.2), fill=tuple(int(c) for c in colour))
    return over(to_array(canvas), scene, 0.35 * layers.mask)


def woodcut(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Black and white masses; the thing stands out of a black ground with white cuts."""
    _, x = grid(layers.mask.shape)
    light = blur(layers.back, 5).mean(-1, keepdims=True)
    cut = 0.5 + 0.5 * np.sin((x + 20 * noise(layers.mask.shape, 4, rng)) * 2 * np.pi / 18)
    back = np.clip((light * 0.7 - 0.12 - cut * 0.75) * 5, 0, 1)
    front = np.clip((layers.front.mean(-1, keepdims=True) - 0.40) * 12 + 0.5, 0, 1)
    halo = np.clip(grow(layers.mask, 9) - layers.mask, 0, 1)
    out = over(np.maximum(back, halo), front, layers.mask)
    edge = layers.front_ink * layers.mask
    out = out * (1 - edge * (front > 0.5)) + edge * (front <= 0.5)
    return _map(out, (12, 12, 14), (248, 246, 240))


def chiaroscuro(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """An old master's portrait light: umber darkness, one warm lamp on the thing."""
    shape = layers.mask.shape
    y, x = grid(shape)
    weight = layers.mask / max(1.0, float(layers.mask.sum()))
    cy, cx = float((weight * y).sum()) - 12, float((weight * x).sum()) - 10
    if layers.mask.sum() == 0:
        cy, cx = shape[0] / 2, shape[1] / 2
    lamp = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * (shape[0] * 0.27) ** 2))
    umber = np.array([0.30, 0.20, 0.11], dtype=np.float32)
    back = (blur(layers.back, 6).mean(-1, keepdims=True) * 0.7 + 0.2) * umber * (0.35 + 1.5 * lamp)
    front = (
        saturate(layers.front, 0.9) * np.array([1.08, 0.96, 0.78], np.float32) * (0.18 + 0.9 * lamp)
    )
    out = over(back, front, blur(layers.mask, 2))
    crackle = np.abs(noise(shape, 18, rng) - 0.5) < 0.02
    return np.clip(out * (1 - 0.15 * crackle), 0, 1)


CONCEPT_STYLES: dict[str, Style] = {
    "dawn animation": dawn,
    "dusk animation": dusk,
    "old book": old_book,
    "woodblock": woodblock,
    "pointillism": pointillism,
    "woodcut": woodcut,
    "chiaroscuro": chiaroscuro,
}
