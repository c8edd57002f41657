"""Parts (polygons and strokes in unit coordinates) and their painting into layers.

A picture is two lists of parts, one for the place and one for the object.  Each list is painted
on its own layer together with an ink mask of its visible contours, so that a style can treat
content, place and contour independently of what they show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

RGB = tuple[float, float, float]
Point = tuple[float, float]
SUPERSAMPLING = 3
_CIRCLE = tuple((math.cos(2 * math.pi * k / 24), math.sin(2 * math.pi * k / 24)) for k in range(24))


@dataclass(frozen=True)
class Part:
    """A filled polygon, or a stroke where `width` (in units of the shape) is positive."""

    points: tuple[Point, ...]
    fill: RGB
    width: float = 0.0
    ink: bool = True
    fill_to: RGB | None = None  # vertical gradient over the whole canvas, for skies


@dataclass
class Layers:
    """What a style sees: float arrays in 0..1, (h, w, 3) for colours and (h, w, 1) for masks."""

    back: np.ndarray
    back_ink: np.ndarray
    front: np.ndarray
    mask: np.ndarray
    front_ink: np.ndarray


def poly(fill: RGB, *points: Point, ink: bool = True) -> Part:
    """A polygon through the given points."""
    return Part(tuple(points), fill, ink=ink)


def oval(
    fill: RGB,
    x: float,
    y: float,
    rx: float,
    ry: float | None = None,
    turn: float = 0.0,
    ink: bool = True,
) -> Part:
    """An ellipse with centre (x, y), turned by `turn` degrees."""
    ry = rx if ry is None else ry
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    points = tuple((x + rx * a * c - ry * b * s, y + rx * a * s + ry * b * c) for a, b in _CIRCLE)
    return Part(points, fill, ink=ink)


def box(fill: RGB, x0: float, y0: float, x1: float, y1: float, ink: bool = True) -> Part:
    """An axis-aligned rectangle."""
    return Part(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), fill, ink=ink)


def stroke(fill: RGB, width: float, *points: Point, ink: bool = False) -> Part:
    """An open line of the given width."""
    return Part(tuple(points), fill, width=width, ink=ink)


def sky(top: RGB, bottom: RGB) -> Part:
    """A vertical gradient that covers the whole canvas."""
    return Part((), top, ink=False, fill_to=bottom)


def scale(colour: RGB, factor: float) -> RGB:
    """The colour made darker (factor < 1) or lighter, clipped to 0..255."""
    red, green, blue = (min(255.0, max(0.0, c * factor)) for c in colour)
    return red, green, blue


def mix(a: RGB, b: RGB, t: float) -> RGB:
    """The colour t of the way from a to b."""
    red, green, blue = (x + (y - x) * t for x, y in zip(a, b, strict=True))
    return red, green, blue


def placement(
    cx: float, cy: float, half: float, turn: float, flip: bool = False
) -> Callable[[Point], Point]:
    """Maps shape units (-1..1, y down) to pixels: scaled by `half`, turned, moved to (cx, cy)."""
    c, s = math.cos(math.radians(turn)) * half, math.sin(math.radians(turn)) * half
    sign = -1.0 if flip else 1.0

    def to_pixels(p: Point) -> Point:
        x, y = p[0] * sign, p[1]
        return cx + x * c - y * s, cy + x * s + y * c

    return to_pixels


def _rgb(colour: RGB) -> tuple[int, int, int]:
    red, green, blue = (round(min(255.0, max(0.0, c))) for c in colour)
    return red, green, blue


def _gradient(size: tuple[int, int], top: RGB, bottom: RGB) -> Image.Image:
    ramp = np.linspace(0.0, 1.0, size[1])[:, None]
    column = np.asarray(top) * (1 - ramp) + np.asarray(bottom) * ramp
    return Image.fromarray(column[:, None, :].round().astype(np.uint8)).resize(size)


def paint(
    parts: Iterable[Part],
    size: tuple[int, int],
    to_pixels: Callable[[Point], Point],
    unit: float,
    line: int = 2,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paint parts in order; return colour, mask and visible contours as float arrays.

    `unit` is the number of pixels of one shape unit, for stroke widths.
    """
    colour, mask, ink = (Image.new(m, size, 0) for m in ("RGB", "L", "L"))
    pens = [ImageDraw.Draw(image) for image in (colour, mask, ink)]
    for part in parts:
        if part.fill_to is not None:
            colour.paste(_gradient(size, part.fill, part.fill_to))
            mask.paste(255, (0, 0, *size))
            continue
        points = [to_pixels(p) for p in part.points]
        fills: tuple[Any, ...] = (_rgb(part.fill), 255, 0)
        for pen, value in zip(pens, fills, strict=True):
            if part.width:
                pen.line(points, fill=value, width=max(1, round(part.width * unit)), joint="curve")
            else:
                pen.polygon(points, fill=value)
        if part.ink:
            pens[2].line([*points, points[0]], fill=255, width=line, joint="curve")
    to_array = [np.asarray(i, dtype=np.float32) / 255.0 for i in (colour, mask, ink)]
    return to_array[0], to_array[1][..., None], to_array[2][..., None]
