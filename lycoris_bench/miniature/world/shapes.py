"""The world's things: clear silhouettes in one dominant colour.

Each shape fills the square -1..1 (y down, standing on y = 1) and is a function of its colour.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from lycoris_bench.miniature.world.canvas import RGB, Part, box, mix, oval, poly, scale, stroke

Shape = Callable[[RGB], list[Part]]
WHITE, CREAM, DARK = (250, 250, 248), (240, 226, 196), (40, 36, 40)
WOOD, LEAF, GLASS = (115, 75, 45), (70, 140, 60), (190, 225, 245)


def _eye(x: float, y: float, r: float = 0.12) -> list[Part]:
    return [oval(WHITE, x, y, r), oval(DARK, x + 0.02, y + 0.02, r * 0.6, ink=False)]


def house(c: RGB) -> list[Part]:
    """A house in the given colour."""
    return [
        box(scale(c, 0.7), 0.4, -0.85, 0.62, -0.2),
        box(c, -0.75, -0.1, 0.75, 1.0),
        poly(scale(c, 0.62), (-0.98, -0.05), (0.0, -0.95), (0.98, -0.05)),
        box(WOOD, -0.18, 0.35, 0.18, 1.0),
        box(GLASS, -0.6, 0.15, -0.3, 0.45),
        box(GLASS, 0.3, 0.15, 0.6, 0.45),
    ]


def tree(c: RGB) -> list[Part]:
    """A tree in the given colour."""
    return [
        poly(WOOD, (-0.14, 1.0), (-0.1, 0.2), (0.1, 0.2), (0.14, 1.0)),
        oval(scale(c, 0.8), -0.45, 0.05, 0.42),
        oval(scale(c, 0.8), 0.45, 0.05, 0.42),
        oval(c, 0.0, -0.35, 0.62),
        oval(mix(c, WHITE, 0.3), -0.2, -0.5, 0.2, ink=False),
    ]


def fish(c: RGB) -> list[Part]:
    """A fish in the given colour."""
    return [
        poly(scale(c, 0.75), (0.45, 0.1), (1.0, -0.45), (0.86, 0.1), (1.0, 0.65)),
        poly(scale(c, 0.75), (-0.3, -0.4), (0.15, -0.85), (0.35, -0.3)),
        oval(c, -0.15, 0.1, 0.8, 0.55),
        stroke(scale(c, 0.6), 0.07, (0.1, -0.3), (0.2, 0.1), (0.1, 0.5)),
        poly(scale(c, 0.75), (-0.1, 0.15), (0.25, 0.35), (-0.05, 0.4)),
        *_eye(-0.6, -0.05, 0.14),
    ]


def cat(c: RGB) -> list[Part]:
    """A cat in the given colour."""
    d = scale(c, 0.75)
    return [
        stroke(d, 0.2, (0.5, 0.85), (0.88, 0.7), (0.85, 0.2), (0.7, 0.1)),
        oval(c, 0.0, 0.55, 0.55, 0.48),
        oval(d, -0.25, 0.9, 0.18, 0.12),
        oval(d, 0.25, 0.9, 0.18, 0.12),
        poly(c, (-0.6, -0.2), (-0.62, -0.98), (-0.1, -0.6)),
        poly(c, (0.6, -0.2), (0.62, -0.98), (0.1, -0.6)),
        oval(c, 0.0, -0.25, 0.65, 0.5),
        *_eye(-0.25, -0.3, 0.15),
        *_eye(0.25, -0.3, 0.15),
        poly((240, 140, 150), (-0.09, -0.08), (0.09, -0.08), (0.0, 0.03), ink=False),
    ]


def bird(c: RGB) -> list[Part]:
    """A bird in the given colour."""
    d = scale(c, 0.72)
    return [
        stroke((230, 150, 50), 0.08, (-0.1, 0.6), (-0.1, 1.0)),
        stroke((230, 150, 50), 0.08, (0.15, 0.6), (0.15, 1.0)),
        poly(d, (0.4, 0.1), (1.0, -0.25), (0.95, 0.3)),
        oval(c, 0.05, 0.2, 0.65, 0.52),
        oval(c, -0.4, -0.45, 0.42),
        poly((250, 165, 50), (-0.78, -0.55), (-1.0, -0.35), (-0.75, -0.28)),
        oval(d, 0.2, 0.15, 0.4, 0.25, 20),
        *_eye(-0.5, -0.52, 0.12),
    ]


def mushroom(c: RGB) -> list[Part]:
    """A mushroom in the given colour."""
    cap = [
        (math.cos(a) * 0.95, 0.15 - math.sin(a) * 1.05)
        for a in (math.pi * k / 12 for k in range(13))
    ]
    return [
        poly(CREAM, (-0.28, 0.1), (0.28, 0.1), (0.38, 1.0), (-0.38, 1.0)),
        poly(c, *cap),
        oval(WHITE, -0.4, -0.25, 0.17),
        oval(WHITE, 0.1, -0.55, 0.2),
        oval(WHITE, 0.5, -0.15, 0.15),
    ]


def boat(c: RGB) -> list[Part]:
    """A boat in the given colour."""
    return [
        stroke(WOOD, 0.1, (0.0, 0.4), (0.0, -1.0)),
        poly(WHITE, (0.1, -0.9), (0.8, 0.25), (0.1, 0.25)),
        poly(mix(c, WHITE, 0.35), (-0.1, -0.7), (-0.65, 0.25), (-0.1, 0.25)),
        poly(c, (-1.0, 0.4), (1.0, 0.4), (0.62, 1.0), (-0.62, 1.0)),
        stroke(scale(c, 0.65), 0.1, (-0.9, 0.5), (0.9, 0.5)),
    ]


def car(c: RGB) -> list[Part]:
    """A car in the given colour."""
    return [
        poly(c, (-0.6, 0.2), (-0.38, -0.4), (0.4, -0.4), (0.68, 0.2)),
        poly(GLASS, (-0.45, 0.15), (-0.3, -0.27), (0.0, -0.27), (0.0, 0.15)),
        poly(GLASS, (0.1, 0.15), (0.1, -0.27), (0.34, -0.27), (0.52, 0.15)),
        poly(c, (-1.0, 0.2), (0.95, 0.2), (1.0, 0.72), (-1.0, 0.72)),
        oval((255, 240, 150), -0.9, 0.38, 0.09),
        box(scale(c, 0.6), -1.0, 0.6, 1.0, 0.72),
        *[
            p
            for x in (-0.52, 0.52)
            for p in (oval(DARK, x, 0.72, 0.28), oval((190, 190, 190), x, 0.72, 0.12))
        ],
    ]


def flower(c: RGB) -> list[Part]:
    """A flower in the given colour."""
    ring = [
        (0.46 * math.cos(a), -0.4 + 0.46 * math.sin(a))
        for a in (2 * math.pi * k / 6 for k in range(6))
    ]
    return [
        stroke(LEAF, 0.12, (0.0, -0.2), (0.0, 1.0)),
        oval(LEAF, -0.3, 0.62, 0.3, 0.13, 30),
        oval(LEAF, 0.3, 0.75, 0.3, 0.13, -30),
        *[oval(c, x, y, 0.31) for x, y in ring],
        oval((110, 70, 30), 0.0, -0.4, 0.24),
    ]


def star(c: RGB) -> list[Part]:
    """A star in the given colour."""

    def ring(r: float) -> list[tuple[float, float]]:
        return [
            (
                (r if k % 2 == 0 else r * 0.45) * math.sin(math.pi * k / 5),
                0.05 - (r if k % 2 == 0 else r * 0.45) * math.cos(math.pi * k / 5),
            )
            for k in range(10)
        ]

    return [poly(c, *ring(1.05)), poly(mix(c, WHITE, 0.25), *ring(0.6), ink=False)]


def cup(c: RGB) -> list[Part]:
    """A cup in the given colour."""
    steam = (215, 215, 220)
    return [
        oval(c, 0.7, 0.25, 0.3, 0.32),
        oval(mix(c, WHITE, 0.75), 0.7, 0.25, 0.14, 0.17),
        poly(c, (-0.7, -0.3), (0.7, -0.3), (0.5, 0.85), (-0.5, 0.85)),
        oval(scale(c, 0.65), 0.0, -0.3, 0.7, 0.17),
        oval(WHITE, 0.0, 0.9, 0.85, 0.1),
        stroke(steam, 0.1, (-0.25, -0.55), (-0.12, -0.75), (-0.25, -1.0)),
        stroke(steam, 0.1, (0.2, -0.55), (0.33, -0.75), (0.2, -1.0)),
    ]


def umbrella(c: RGB) -> list[Part]:
    """An umbrella in the given colour."""

    def canopy(r: float) -> list[tuple[float, float]]:
        return [
            (math.cos(a) * r, 0.05 - math.sin(a) * 0.95)
            for a in (math.pi * k / 12 for k in range(13))
        ]

    return [
        stroke(WOOD, 0.11, (0.0, -0.2), (0.0, 0.85), (-0.12, 0.97), (-0.28, 0.85)),
        poly(c, *canopy(1.0)),
        poly(scale(c, 0.7), *canopy(0.5)),
        stroke(WOOD, 0.1, (0.0, -0.9), (0.0, -1.0)),
    ]


THINGS: dict[str, Shape] = {
    "house": house,
    "tree": tree,
    "fish": fish,
    "cat": cat,
    "bird": bird,
    "mushroom": mushroom,
    "boat": boat,
    "car": car,
    "flower": flower,
    "star": star,
    "cup": cup,
    "umbrella": umbrella,
}
