"""Robots and plush toys: figures that a concept can specialise."""

from __future__ import annotations

from dataclasses import dataclass

from lycoris_bench.miniature.world.canvas import RGB, Part, box, mix, oval, poly, scale, stroke
from lycoris_bench.miniature.world.shapes import DARK, WHITE


@dataclass(frozen=True)
class Robot:
    """A box-bodied machine; `colour` is the dominant colour."""

    colour: RGB
    trim: RGB = (150, 155, 165)
    eyes: str = "two"  # two | one | visor
    eye_colour: RGB = (110, 240, 250)
    head: str = "box"  # box | dome
    antennas: int = 1
    stripe: RGB | None = None


def robot(r: Robot) -> list[Part]:
    """Parts of a robot."""
    c, d, t = r.colour, scale(r.colour, 0.7), r.trim
    tips = {0: (), 1: (0.0,), 2: (-0.3, 0.3)}[r.antennas]
    head = oval(c, 0.0, -0.42, 0.5, 0.42) if r.head == "dome" else box(c, -0.5, -0.8, 0.5, -0.1)
    eyes = {
        "two": [oval(r.eye_colour, -0.2, -0.45, 0.13), oval(r.eye_colour, 0.2, -0.45, 0.13)],
        "one": [oval(WHITE, 0, -0.45, 0.24), oval(r.eye_colour, 0.0, -0.45, 0.15)],
        "visor": [box(r.eye_colour, -0.4, -0.56, 0.4, -0.36)],
    }[r.eyes]
    return [
        *[
            q
            for x in tips
            for q in (stroke(t, 0.07, (x, -0.75), (x, -1.0)), oval((240, 70, 60), x, -1.02, 0.1))
        ],
        stroke(t, 0.18, (-0.5, 0.1), (-0.8, 0.5)),
        stroke(t, 0.18, (0.5, 0.1), (0.8, 0.5)),
        oval(d, -0.82, 0.55, 0.14),
        oval(d, 0.82, 0.55, 0.14),
        box(t, -0.4, 0.6, -0.12, 0.95),
        box(t, 0.12, 0.6, 0.4, 0.95),
        box(t, -0.15, -0.15, 0.15, 0.05),
        box(c, -0.55, -0.02, 0.55, 0.68),
        box(mix(c, WHITE, 0.45), -0.3, 0.12, 0.3, 0.42),
        *([stroke(r.stripe, 0.14, (-0.55, 0.6), (0.55, 0.6))] if r.stripe else []),
        head,
        *eyes,
        stroke(DARK, 0.06, (-0.2, -0.2), (0.2, -0.2)),
    ]


@dataclass(frozen=True)
class Toy:
    """A plush animal; `colour` is the dominant colour."""

    colour: RGB
    ears: str = "round"  # round | long | floppy | none
    belly: RGB | None = None
    patch: RGB | None = None  # eye patches and limbs, as a panda's
    shell: RGB | None = None  # a patterned shell on the belly side, as a tortoise's
    claws: RGB | None = None  # big claws, as a lobster's
    bow: RGB | None = None


def toy(t: Toy) -> list[Part]:
    """Parts of a sitting plush toy."""
    c, d, limb = t.colour, scale(t.colour, 0.75), t.patch or scale(t.colour, 0.88)
    ears = {
        "round": [oval(limb, -0.42, -0.8, 0.22), oval(limb, 0.42, -0.8, 0.22)],
        "long": [oval(limb, -0.25, -0.85, 0.15, 0.45, -8), oval(limb, 0.25, -0.85, 0.15, 0.45, 8)],
        "floppy": [
            oval(limb, -0.58, -0.3, 0.17, 0.42, 12),
            oval(limb, 0.58, -0.3, 0.17, 0.42, -12),
        ],
        "none": [],
    }[t.ears]
    arms = (
        [
            p
            for s in (-1, 1)
            for p in (
                stroke(d, 0.14, (s * 0.4, 0.2), (s * 0.75, 0.0)),
                oval(t.claws, s * 0.8, -0.2, 0.2, 0.3, s * 20),
                poly(DARK, (s * 0.8, -0.2), (s * 0.72, -0.5), (s * 0.9, -0.5)),
            )
        ]
        if t.claws
        else [oval(limb, -0.6, 0.25, 0.17, 0.32, 35), oval(limb, 0.6, 0.25, 0.17, 0.32, -35)]
    )
    patches = (
        [oval(t.patch, s * 0.22, -0.38, 0.17, 0.2, s * 15, ink=False) for s in (-1, 1)]
        if t.patch
        else []
    )
    shell = (
        [
            oval(t.shell, 0.0, 0.42, 0.5, 0.45),
            *[
                oval(scale(t.shell, 0.65), x, y, 0.13)
                for x, y in ((0.0, 0.2), (-0.24, 0.5), (0.24, 0.5), (0.0, 0.68))
            ],
        ]
        if t.shell
        else [oval(t.belly or mix(c, WHITE, 0.45), 0.0, 0.45, 0.32, 0.34, ink=False)]
    )
    return [
        *(ears if t.ears != "floppy" else []),
        *arms,
        oval(c, 0.0, 0.42, 0.55, 0.52),
        *shell,
        oval(limb, -0.42, 0.85, 0.24, 0.16),
        oval(limb, 0.42, 0.85, 0.24, 0.16),
        oval(c, 0.0, -0.35, 0.55, 0.48),
        *(ears if t.ears == "floppy" else []),
        *patches,
        oval(DARK, -0.2, -0.4, 0.08),
        oval(DARK, 0.2, -0.4, 0.08),
        oval(mix(c, WHITE, 0.6), 0.0, -0.15, 0.2, 0.14, ink=False),
        oval(DARK, 0.0, -0.2, 0.08, 0.06, ink=False),
        *(
            [
                poly(t.bow, (0, 0.08), (-0.26, -0.04), (-0.26, 0.22)),
                poly(t.bow, (0, 0.08), (0.26, -0.04), (0.26, 0.22)),
            ]
            if t.bow
            else []
        ),
    ]
