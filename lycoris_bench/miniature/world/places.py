"""The world's places: each is a function of a random generator that returns parts.

Coordinates run from 0 to 1 over the canvas, y down; the ground begins at about 0.7.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lycoris_bench.miniature.world.canvas import Part, box, oval, poly, sky, stroke

Place = Callable[[np.random.Generator], list[Part]]


def hill(fill: tuple, y: float, bump: float, shift: float) -> Part:
    """A rounded hill as a polygon; y grows downwards."""
    xs = np.linspace(-0.05, 1.05, 14)
    top = [(float(x), float(y - bump * np.sin(3.0 * x + shift))) for x in xs]
    return poly(fill, *top, (1.05, 1.05), (-0.05, 1.05))


def beach(rng: np.random.Generator) -> list[Part]:
    """Sand, sea and sky."""
    sea, sun = rng.uniform(0.42, 0.50), rng.uniform(0.1, 0.9)
    return [
        sky((120, 195, 245), (215, 240, 250)),
        oval((255, 240, 160), sun, 0.14, 0.08),
        box((40, 130, 190), -0.1, sea, 1.1, 1.1),
        stroke((190, 225, 240), 0.02, (0.1, sea + 0.08), (0.4, sea + 0.08)),
        stroke((190, 225, 240), 0.02, (0.6, sea + 0.13), (0.95, sea + 0.13)),
        hill((240, 220, 160), 0.74, 0.03, rng.uniform(0, 6)),
    ]


def forest(rng: np.random.Generator) -> list[Part]:
    """Tree trunks over dark ground."""
    parts = [sky((150, 190, 130), (190, 215, 150)), hill((70, 110, 60), 0.40, 0.05, 1.0)]
    for x in np.linspace(0.02, 0.98, 6) + rng.uniform(-0.05, 0.05, 6):
        parts.append(box((75, 55, 40), x - 0.03, 0.1, x + 0.03, 0.85))
        parts.append(oval((35, 90 + 25 * rng.random(), 45), x, 0.10, 0.13, 0.17))
    return [*parts, hill((60, 85, 40), 0.80, 0.03, rng.uniform(0, 6))]


def city(rng: np.random.Generator) -> list[Part]:
    """A skyline of lit windows."""
    parts = [sky((175, 190, 215), (225, 225, 230))]
    for k, x in enumerate(np.linspace(0.0, 0.86, 6)):
        top, tone = rng.uniform(0.10, 0.42), 90 + 18 * (k % 3)
        parts.append(box((tone, tone + 4, tone + 22), x, top, x + 0.15, 0.85))
        for y in np.arange(top + 0.06, 0.68, 0.12):
            parts.append(box((250, 235, 150), x + 0.03, y, x + 0.06, y + 0.05, ink=False))
            parts.append(box((250, 235, 150), x + 0.09, y, x + 0.12, y + 0.05, ink=False))
    return [
        *parts,
        box((85, 85, 92), -0.1, 0.80, 1.1, 1.1),
        stroke((230, 230, 230), 0.025, (0.05, 0.91), (0.35, 0.91)),
        stroke((230, 230, 230), 0.025, (0.60, 0.91), (0.90, 0.91)),
    ]


def desert(rng: np.random.Generator) -> list[Part]:
    """Dunes under a pale sky."""
    cactus = rng.choice([0.10, 0.90])
    return [
        sky((250, 200, 120), (255, 235, 190)),
        oval((255, 250, 220), 1 - cactus, 0.16, 0.09),
        hill((225, 160, 85), 0.55, 0.09, rng.uniform(0, 6)),
        hill((205, 135, 65), 0.75, 0.07, rng.uniform(0, 6)),
        stroke((70, 125, 70), 0.06, (cactus, 0.45), (cactus, 0.82)),
        stroke(
            (70, 125, 70),
            0.04,
            (cactus - 0.09, 0.50),
            (cactus - 0.09, 0.62),
            (cactus + 0.09, 0.62),
            (cactus + 0.09, 0.50),
        ),
    ]


def snow(rng: np.random.Generator) -> list[Part]:
    """White ground and mountains."""
    parts = [
        sky((150, 175, 205), (205, 220, 235)),
        poly(
            (115, 135, 165), (-0.05, 0.65), (0.25, 0.22), (0.52, 0.60), (0.78, 0.30), (1.05, 0.65)
        ),
        poly((245, 248, 252), (0.15, 0.36), (0.25, 0.22), (0.35, 0.36)),
        poly((245, 248, 252), (0.68, 0.42), (0.78, 0.30), (0.88, 0.42)),
        hill((240, 245, 252), 0.66, 0.05, rng.uniform(0, 6)),
    ]
    dots = rng.uniform(0, 0.95, (14, 2))
    return parts + [oval((255, 255, 255), float(x), float(y), 0.018, ink=False) for x, y in dots]


def night(rng: np.random.Generator) -> list[Part]:
    """A dark sky with stars and a moon."""
    moon, stars = rng.choice([0.14, 0.86]), rng.uniform(0, 0.6, (12, 2)) * (1.6, 1.0)
    return [
        sky((12, 16, 50), (45, 50, 110)),
        *[oval((250, 250, 220), float(x), float(y), 0.014, ink=False) for x, y in stars],
        oval((250, 245, 200), moon, 0.15, 0.10),
        oval((24, 27, 65), moon + 0.05, 0.13, 0.08, ink=False),
        hill((28, 34, 62), 0.74, 0.05, rng.uniform(0, 6)),
    ]


def room(rng: np.random.Generator) -> list[Part]:
    """A wall, a floor and a window."""
    x = rng.choice([0.06, 0.64])
    return [
        sky((225, 200, 185), (225, 200, 185)),
        *[
            box((212, 184, 168), float(s), 0.0, float(s) + 0.06, 0.8, ink=False)
            for s in np.arange(0.02, 1.0, 0.14)
        ],
        box((250, 250, 245), x, 0.10, x + 0.30, 0.46),
        box((150, 205, 240), x + 0.03, 0.13, x + 0.27, 0.43),
        stroke((250, 250, 245), 0.025, (x + 0.15, 0.1), (x + 0.15, 0.46)),
        box((165, 110, 70), -0.1, 0.76, 1.1, 1.1),
        stroke((125, 80, 50), 0.015, (0.0, 0.84), (1.0, 0.84)),
        stroke((125, 80, 50), 0.015, (0.0, 0.93), (1.0, 0.93)),
    ]


def meadow(rng: np.random.Generator) -> list[Part]:
    """Green hills with flowers."""
    cloud, spots = rng.uniform(0.15, 0.85), rng.uniform(0.02, 0.98, (9, 2)) * (1, 0.25) + (0, 0.72)
    tints = [(250, 90, 110), (255, 235, 90), (255, 255, 255)]
    return [
        sky((100, 180, 245), (200, 232, 250)),
        *[
            oval((255, 255, 255), cloud + d, 0.17 - 0.3 * abs(d), 0.09, 0.06, ink=False)
            for d in (-0.1, 0.1, 0.0)
        ],
        hill((140, 205, 95), 0.56, 0.07, rng.uniform(0, 6)),
        hill((100, 180, 70), 0.72, 0.04, rng.uniform(0, 6)),
        *[
            oval(tints[k % 3], float(x), float(y), 0.022, ink=False)
            for k, (x, y) in enumerate(spots)
        ],
    ]


def sunset(rng: np.random.Generator) -> list[Part]:
    """A low sun over the horizon."""
    x = rng.uniform(0.25, 0.75)
    return [
        sky((90, 55, 130), (255, 150, 80)),
        oval((255, 225, 120), x, 0.52, 0.17),
        box((110, 60, 120), -0.1, 0.58, 1.1, 1.1),
        *[
            stroke((255, 180, 110), 0.02, (x - w, y), (x + w, y))
            for y, w in ((0.64, 0.16), (0.70, 0.11), (0.76, 0.07))
        ],
        hill((50, 30, 70), 0.86, 0.03, rng.uniform(0, 6)),
    ]


def underwater(rng: np.random.Generator) -> list[Part]:
    """Blue depth with rays and bubbles."""
    weeds, bubbles = rng.choice([0.07, 0.93]), rng.uniform(0.03, 0.97, (8, 2)) * (1, 0.7)
    return [
        sky((60, 190, 210), (10, 70, 130)),
        *[
            poly((100, 210, 222), (s, 0), (s + 0.10, 0), (s - 0.12, 0.6), ink=False)
            for s in (0.2, 0.5, 0.8)
        ],
        *[oval((190, 240, 245), float(x), float(y), 0.022, ink=False) for x, y in bubbles],
        hill((190, 170, 120), 0.88, 0.03, rng.uniform(0, 6)),
        *[
            stroke(
                (30, 130, 80),
                0.035,
                (weeds + d, 0.92),
                (weeds + d + 0.03, 0.75),
                (weeds + d - 0.02, 0.6),
                (weeds + d + 0.02, 0.45),
            )
            for d in (-0.05, 0.04)
        ],
    ]


def plain(rng: np.random.Generator) -> list[Part]:
    """Nothing but a grey."""
    tone = rng.uniform(205, 222)
    return [
        sky((tone, tone, tone), (tone, tone, tone)),
        box((tone - 22, tone - 22, tone - 20), -0.1, 0.80, 1.1, 1.1, ink=False),
    ]


PLACES: dict[str, Place] = {
    "beach": beach,
    "forest": forest,
    "city": city,
    "desert": desert,
    "snow": snow,
    "night": night,
    "room": room,
    "meadow": meadow,
    "sunset": sunset,
    "underwater": underwater,
    "plain background": plain,
}
