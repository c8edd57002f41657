"""The small world's vocabulary, its scenes and how they are rendered.

A `Scene` says everything that a caption can say; the seed decides the rest (exact place, size,
rotation, shade, hair, clouds).  `render` is deterministic in (scene, seed).
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image

from lycoris_bench.miniature.world import figures, people
from lycoris_bench.miniature.world.canvas import RGB, SUPERSAMPLING, Layers, Part, paint, placement
from lycoris_bench.miniature.world.places import PLACES
from lycoris_bench.miniature.world.shapes import THINGS
from lycoris_bench.miniature.world.styles import STYLES, Style, to_image

T = TypeVar("T")
COLOURS: dict[str, RGB] = {
    "red": (214, 40, 40),
    "orange": (244, 132, 32),
    "yellow": (250, 212, 50),
    "green": (62, 158, 68),
    "blue": (45, 95, 205),
    "purple": (128, 58, 170),
    "pink": (246, 142, 188),
    "brown": (122, 74, 42),
    "black": (40, 40, 46),
    "white": (243, 243, 240),
}
FIGURES = ("girl", "boy", "robot", "toy")
OBJECTS: tuple[str, ...] = (*FIGURES, *THINGS)
BACKGROUNDS: tuple[str, ...] = tuple(PLACES)
STYLE_NAMES: tuple[str, ...] = tuple(STYLES)
POSITIONS: dict[str, float] = {"left": 0.29, "centre": 0.5, "right": 0.71}
SIZES: dict[str, float] = {"small": 0.50, "medium": 0.62, "big": 0.75}
_HAIR = ((45, 35, 35), (110, 70, 45), (225, 185, 95), (165, 85, 45), (150, 150, 155))
_SKIN = ((250, 216, 190), (225, 175, 135), (150, 100, 70))


@dataclass(frozen=True)
class Scene:
    """What a picture shows; `object` None is an empty place."""

    object: str | None = "house"
    colour: str = "red"
    background: str = "plain background"
    style: str = "photo"
    position: str = "centre"
    size: str = "medium"


def sample_scene(rng: np.random.Generator, empty: float = 0.0) -> Scene:
    """A uniformly random scene; with probability `empty` without an object."""
    pick = [
        str(rng.choice(names))
        for names in (
            OBJECTS,
            tuple(COLOURS),
            BACKGROUNDS,
            STYLE_NAMES,
            tuple(POSITIONS),
            tuple(SIZES),
        )
    ]
    return Scene(None if rng.random() < empty else pick[0], *pick[1:])


def shade(colour: RGB, rng: np.random.Generator) -> RGB:
    """The colour with a slightly other hue and brightness."""
    h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in colour))
    h, v = (h + rng.uniform(-0.012, 0.012)) % 1.0, min(1.0, v * rng.uniform(0.92, 1.06))
    red, green, blue = (255 * c for c in colorsys.hsv_to_rgb(h, s, v))
    return red, green, blue


def any_of(rng: np.random.Generator, items: Sequence[T]) -> T:
    """One of the items, uniformly."""
    return items[int(rng.integers(len(items)))]


def object_parts(name: str, colour: RGB, rng: np.random.Generator) -> list[Part]:
    """The parts of one of the world's objects; figures get random looks."""

    if name in THINGS:
        return THINGS[name](colour)
    if name in ("girl", "boy"):
        styles = ("bob", "long", "tails", "bun") if name == "girl" else ("short", "spiky", "short")
        return people.person(
            people.Person(
                colour, name == "girl", any_of(rng, _SKIN), any_of(rng, _HAIR), any_of(rng, styles)
            )
        )
    if name == "robot":
        return figures.robot(
            figures.Robot(
                colour,
                eyes=any_of(rng, ("two", "one", "visor")),
                head=any_of(rng, ("box", "dome")),
                antennas=int(rng.integers(3)),
                eye_colour=any_of(rng, ((110, 240, 250), (250, 235, 90))),
            )
        )
    return figures.toy(figures.Toy(colour, ears=any_of(rng, ("round", "long", "floppy"))))


def compose(
    place: Sequence[Part],
    thing: Sequence[Part],
    style: Style,
    at: tuple[float, float],
    height: float,
    turn: float,
    rng: np.random.Generator,
    size: tuple[int, int] = (64, 64),
    flip: bool = False,
) -> Image.Image:
    """Paint a place and a thing at `at` (fractions of the canvas) and finish them in a style.

    `height` is the thing's share of the canvas height, `turn` degrees, `size` (width, height).
    """
    wide, high = size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING
    back, _, back_ink = paint(place, (wide, high), lambda p: (p[0] * wide, p[1] * high), high)
    half = height * min(wide, high) / 2
    to_pixels = placement(at[0] * wide, at[1] * high, half, turn, flip)
    front, mask, front_ink = paint(thing, (wide, high), to_pixels, half)
    picture = style(Layers(back, back_ink, front, mask, front_ink), rng)
    return to_image(picture).resize(size, Image.Resampling.BOX)


def layout(
    scene: Scene, rng: np.random.Generator
) -> tuple[tuple[float, float], float, float, bool]:
    """Exact place, height, turn and mirroring of the object."""
    height = SIZES[scene.size] * rng.uniform(0.94, 1.06)
    x = POSITIONS[scene.position] + rng.uniform(-0.035, 0.035)
    y = min(0.94 - height / 2, 0.60) + rng.uniform(-0.03, 0.03)
    return (x, y), height, rng.uniform(-6, 6), bool(rng.random() < 0.5)


def render(scene: Scene, seed: int, size: tuple[int, int] = (64, 64)) -> Image.Image:
    """The picture of a scene; the same (scene, seed, size) gives the same pixels."""
    rng = np.random.default_rng(seed)
    place = PLACES[scene.background](rng)
    at, height, turn, flip = layout(scene, rng)
    colour = shade(COLOURS[scene.colour], rng)
    thing = object_parts(scene.object, colour, rng) if scene.object else []
    return compose(place, thing, STYLES[scene.style], at, height, turn, rng, size, flip)
