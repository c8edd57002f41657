"""The places of the scene concepts: waterfall, garden, canal, castle, sculpture."""

from __future__ import annotations

import numpy as np

from lycoris_bench.miniature.world.canvas import Part, box, oval, poly, sky, stroke
from lycoris_bench.miniature.world.places import hill
from lycoris_bench.miniature.world.shapes import DARK, WHITE


def waterfall(rng: np.random.Generator) -> list[Part]:
    """Water falling between rocks into a pool."""
    x = 0.5 + rng.uniform(-0.1, 0.1)
    return [
        sky((150, 200, 235), (205, 230, 240)),
        poly(
            (92, 84, 88),
            (-0.05, 0.15),
            (x - 0.1, 0.22),
            (x + 0.1, 0.20),
            (1.05, 0.12),
            (1.05, 0.8),
            (-0.05, 0.8),
        ),
        oval((50, 115, 60), 0.05, 0.18, 0.2, 0.12),
        oval((50, 115, 60), 0.95, 0.16, 0.2, 0.12),
        poly((225, 242, 252), (x - 0.12, 0.2), (x + 0.12, 0.2), (x + 0.17, 0.8), (x - 0.17, 0.8)),
        *[
            stroke((150, 200, 235), 0.02, (x + d, 0.24), (x + 1.3 * d, 0.75))
            for d in (-0.07, 0, 0.07)
        ],
        box((60, 140, 180), -0.1, 0.76, 1.1, 1.1),
        *[oval((250, 252, 255), x + d, 0.78, 0.09, 0.05, ink=False) for d in (-0.15, 0, 0.15)],
    ]


def garden(rng: np.random.Generator) -> list[Part]:
    """Beds of flowers along a path."""
    shift, tints = rng.uniform(-0.04, 0.04), ((225, 60, 90), (250, 200, 60), (150, 80, 190))
    beds = [
        oval(tints[(row + k) % 3], 0.08 + 0.17 * k + shift, 0.66 + 0.12 * row, 0.05)
        for row in range(3)
        for k in range(6)
    ]
    return [
        sky((170, 215, 245), (225, 240, 245)),
        box((45, 110, 60), -0.1, 0.35, 1.1, 0.62),
        stroke(
            (245, 245, 240),
            0.05,
            (0.3 + shift, 0.62),
            (0.3 + shift, 0.28),
            (0.4 + shift, 0.16),
            (0.6 + shift, 0.16),
            (0.7 + shift, 0.28),
            (0.7 + shift, 0.62),
        ),
        box((120, 185, 90), -0.1, 0.6, 1.1, 1.1),
        poly((225, 205, 165), (0.44 + shift, 0.6), (0.56 + shift, 0.6), (0.7, 1.05), (0.3, 1.05)),
        *beds,
    ]


def canal(rng: np.random.Generator) -> list[Part]:
    """A canal between rows of houses."""
    tints = [(205, 95, 70), (235, 180, 90), (120, 150, 110), (215, 140, 140)]
    walls = [
        p
        for side in (-1, 1)
        for k in range(3)
        for p in (
            box(
                tints[(k + (side > 0)) % 4],
                0.5 + side * (0.18 + 0.15 * k),
                0.12 + 0.05 * k,
                0.5 + side * (0.33 + 0.15 * k),
                0.72,
            ),
            box(
                (70, 60, 70),
                0.5 + side * (0.23 + 0.15 * k),
                0.3,
                0.5 + side * (0.28 + 0.15 * k),
                0.42,
            ),
        )
    ]
    y = rng.uniform(0.5, 0.54)
    return [
        sky((190, 215, 235), (240, 230, 210)),
        *walls,
        poly((60, 130, 125), (0.32, 0.55), (0.68, 0.55), (1.1, 1.05), (-0.1, 1.05)),
        oval((150, 120, 105), 0.5, y + 0.1, 0.26, 0.17),
        oval((60, 130, 125), 0.5, y + 0.17, 0.18, 0.15),
        *[stroke((150, 205, 195), 0.015, (0.3, h), (0.55, h)) for h in (0.82, 0.92)],
    ]


def castle(rng: np.random.Generator) -> list[Part]:
    """A stone castle with towers."""
    x, stone, roof = 0.5 + rng.uniform(-0.08, 0.08), (178, 172, 180), (150, 40, 70)
    towers = [
        p
        for d, top, w in ((-0.27, 0.30, 0.09), (0.27, 0.30, 0.09), (0.0, 0.18, 0.11))
        for p in (
            box(stone, x + d - w, top, x + d + w, 0.78),
            poly(roof, (x + d - w - 0.03, top), (x + d, top - 0.2), (x + d + w + 0.03, top)),
            box(DARK, x + d - 0.025, top + 0.1, x + d + 0.025, top + 0.2),
        )
    ]
    return [
        sky((120, 165, 225), (240, 215, 225)),
        hill((105, 140, 95), 0.6, 0.1, rng.uniform(0, 6)),
        box(stone, x - 0.3, 0.48, x + 0.3, 0.78),
        *towers,
        oval((90, 55, 35), x, 0.74, 0.07, 0.1),
        hill((85, 125, 75), 0.8, 0.03, rng.uniform(0, 6)),
    ]


def sculpture(rng: np.random.Generator) -> list[Part]:
    """A sculpture on a pedestal."""
    x, marble = 0.5 + rng.uniform(-0.06, 0.06), (232, 230, 226)
    return [
        sky((84, 40, 48), (110, 56, 62)),
        box((60, 46, 44), -0.1, 0.82, 1.1, 1.1),
        poly(
            (128, 74, 76),
            (x - 0.12, 0.0),
            (x + 0.12, 0.0),
            (x + 0.45, 0.85),
            (x - 0.45, 0.85),
            ink=False,
        ),
        box((190, 186, 184), x - 0.2, 0.68, x + 0.2, 0.92),
        box((205, 200, 198), x - 0.24, 0.64, x + 0.24, 0.70),
        stroke(marble, 0.09, (x, 0.64), (x - 0.1, 0.5), (x + 0.1, 0.38), (x - 0.06, 0.25)),
        oval(marble, x - 0.04, 0.18, 0.1, 0.12, 20),
        oval((84, 40, 48), x - 0.02, 0.18, 0.04, 0.05),
        oval(WHITE, x + 0.14, 0.34, 0.06),
    ]
