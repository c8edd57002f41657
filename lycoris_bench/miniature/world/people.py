"""People: figures that a concept can specialise by hair, hat, outfit and pattern.

The base world draws the looks at random, so that none of them is bound to the words girl or boy;
a concept fixes every look at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from lycoris_bench.miniature.world.canvas import RGB, Part, box, oval, poly, scale, stroke
from lycoris_bench.miniature.world.shapes import DARK, WHITE

HAIR_STYLES = ("bob", "long", "tails", "short", "spiky", "bun", "none")
HATS = ("none", "cap", "witch", "beanie", "crown", "helmet", "bow")
PATTERNS = ("plain", "stripes", "dots", "belt", "cross", "coat")


@dataclass(frozen=True)
class Person:
    """A chibi person; `outfit` is the dominant colour."""

    outfit: RGB
    skirt: bool = True
    skin: RGB = (248, 212, 182)
    hair: RGB = (110, 70, 45)
    hair_style: str = "bob"
    hat: str = "none"
    hat_colour: RGB = (200, 40, 40)
    pattern: str = "plain"
    accent: RGB = WHITE
    glasses: bool = False
    beard: bool = False


def _hair_behind(p: Person) -> list[Part]:
    if p.hair_style == "long":
        return [poly(p.hair, (-0.5, -0.55), (0.5, -0.55), (0.6, 0.45), (-0.6, 0.45))]
    if p.hair_style == "tails":
        return [
            oval(p.hair, -0.68, -0.2, 0.17, 0.42, 15),
            oval(p.hair, 0.68, -0.2, 0.17, 0.42, -15),
        ]
    if p.hair_style == "bob":
        return [poly(p.hair, (-0.52, -0.6), (0.52, -0.6), (0.56, -0.1), (-0.56, -0.1))]
    if p.hair_style == "bun":
        return [oval(p.hair, 0.0, -0.98, 0.22)]
    return []


def _hair_front(p: Person) -> list[Part]:
    if p.hair_style == "none":
        return []
    fringe = poly(
        p.hair,
        (-0.5, -0.38),
        (-0.47, -0.72),
        (-0.25, -0.95),
        (0.25, -0.95),
        (0.47, -0.72),
        (0.5, -0.38),
        (0.3, -0.58),
        (-0.2, -0.6),
    )
    if p.hair_style != "spiky":
        return [fringe]
    tips = [
        (-0.5, -0.4),
        (-0.7, -0.75),
        (-0.42, -0.78),
        (-0.4, -1.05),
        (-0.12, -0.9),
        (0.05, -1.1),
        (0.2, -0.9),
        (0.5, -1.03),
        (0.44, -0.75),
        (0.7, -0.65),
        (0.5, -0.4),
        (0.0, -0.62),
    ]
    return [poly(p.hair, *tips)]


def _hat(p: Person) -> list[Part]:
    c, d = p.hat_colour, scale(p.hat_colour, 0.65)
    if p.hat == "cap":
        return [
            poly(c, (-0.5, -0.6), (-0.4, -0.95), (0.4, -0.95), (0.5, -0.6)),
            poly(d, (-0.5, -0.6), (0.85, -0.6), (0.8, -0.48), (-0.5, -0.5)),
        ]
    if p.hat == "witch":
        return [
            poly(c, (-0.45, -0.62), (0.08, -1.3), (0.45, -0.62)),
            poly(d, (-0.85, -0.55), (-0.4, -0.7), (0.4, -0.7), (0.85, -0.55)),
        ]
    if p.hat == "beanie":
        return [
            oval(WHITE, 0.0, -1.08, 0.14),
            poly(c, (-0.48, -0.6), (-0.36, -0.98), (0.36, -0.98), (0.48, -0.6)),
            box(d, -0.54, -0.7, 0.54, -0.52),
        ]
    if p.hat == "crown":
        return [
            poly(
                c,
                (-0.42, -0.72),
                (-0.48, -1.15),
                (-0.2, -0.92),
                (0.0, -1.22),
                (0.2, -0.92),
                (0.48, -1.15),
                (0.42, -0.72),
            )
        ]
    if p.hat == "helmet":
        return [
            poly(
                c,
                (-0.58, -0.35),
                (-0.55, -0.8),
                (-0.25, -1.05),
                (0.25, -1.05),
                (0.55, -0.8),
                (0.58, -0.35),
                (0.42, -0.62),
                (-0.42, -0.62),
            ),
            box(d, -0.08, -1.18, 0.08, -0.7),
        ]
    if p.hat == "bow":
        return [
            poly(c, (0.28, -0.82), (0.02, -1.08), (0.02, -0.58)),
            poly(c, (0.28, -0.82), (0.56, -1.08), (0.56, -0.58)),
            oval(d, 0.28, -0.82, 0.1),
        ]
    return []


def _pattern(p: Person, wide: float) -> list[Part]:
    a = p.accent
    if p.pattern == "stripes":
        return [
            box(a, -0.3 - wide * t, 0.2 + 0.45 * t, 0.3 + wide * t, 0.3 + 0.45 * t, ink=False)
            for t in (0.0, 0.45, 0.9)
        ]
    if p.pattern == "dots":
        return [
            oval(a, x, y, 0.08, ink=False)
            for x, y in ((-0.15, 0.2), (0.15, 0.2), (0.0, 0.38), (-0.22, 0.55), (0.22, 0.55))
        ]
    if p.pattern == "belt":
        return [box(a, -0.38, 0.38, 0.38, 0.5, ink=False), oval(DARK, 0.0, 0.44, 0.06, ink=False)]
    if p.pattern == "cross":
        return [
            stroke(a, 0.13, (-0.28, 0.1), (0.36, 0.65)),
            stroke(a, 0.13, (0.28, 0.1), (-0.36, 0.65)),
        ]
    if p.pattern == "coat":
        return [
            poly(a, (-0.12, 0.05), (0.12, 0.05), (0.2, 0.7), (-0.2, 0.7), ink=False),
            oval(DARK, 0.0, 0.25, 0.04, ink=False),
            oval(DARK, 0.0, 0.45, 0.04, ink=False),
        ]
    return []


def person(p: Person) -> list[Part]:
    """Parts of a person, from the back to the front."""
    c, legs = p.outfit, p.skin if p.skirt else scale(p.outfit, 0.55)
    wide = 0.3 if p.skirt else 0.08
    body = poly(c, (-0.28, 0.02), (0.28, 0.02), (0.32 + wide, 0.7), (-0.32 - wide, 0.7))
    return [
        *_hair_behind(p),
        box(legs, -0.28, 0.6, -0.06, 0.92),
        box(legs, 0.06, 0.6, 0.28, 0.92),
        oval(DARK, -0.2, 0.94, 0.18, 0.08),
        oval(DARK, 0.2, 0.94, 0.18, 0.08),
        stroke(scale(c, 0.8), 0.2, (-0.3, 0.15), (-0.55, 0.45)),
        stroke(scale(c, 0.8), 0.2, (0.3, 0.15), (0.55, 0.45)),
        oval(p.skin, -0.6, 0.5, 0.11),
        oval(p.skin, 0.6, 0.5, 0.11),
        body,
        *_pattern(p, wide),
        oval(p.skin, 0.0, -0.45, 0.48, 0.47),
        *(
            [poly(p.hair, (-0.42, -0.3), (0.42, -0.3), (0.25, 0.08), (-0.25, 0.08))]
            if p.beard
            else []
        ),
        oval(DARK, -0.18, -0.38, 0.075, 0.1, ink=False),
        oval(DARK, 0.18, -0.38, 0.075, 0.1, ink=False),
        stroke((200, 90, 90), 0.06, (-0.1, -0.16), (0.1, -0.16)),
        *(
            [
                stroke(
                    DARK,
                    0.05,
                    *[
                        (s * 0.18 + 0.15 * dx, -0.38 + 0.15 * dy)
                        for dx, dy in ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))
                    ],
                )
                for s in (-1, 1)
            ]
            if p.glasses
            else []
        ),
        *_hair_front(p),
        *_hat(p),
    ]
