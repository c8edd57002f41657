"""Captions of scenes: a small grammar that reads as a sentence or as tags."""

from __future__ import annotations

import numpy as np

from lycoris_bench.miniature.world.scene import Scene

PLACE_PHRASES = {
    "beach": "on a beach",
    "forest": "in a forest",
    "city": "in a city",
    "desert": "in a desert",
    "snow": "in the snow",
    "night": "at night",
    "room": "in a room",
    "meadow": "in a meadow",
    "sunset": "at sunset",
    "underwater": "underwater",
    "plain background": "with a plain background",
}
POSITION_PHRASES = {"left": "on the left", "centre": "in the centre", "right": "on the right"}
PEOPLE = ("girl", "boy")


def _style(scene: Scene, rng: np.random.Generator) -> str:
    forms = (scene.style, f"{scene.style} style", f"in the style of {scene.style}")
    return forms[int(rng.choice(3, p=(0.5, 0.2, 0.3)))]


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def sentence(scene: Scene, rng: np.random.Generator | None = None) -> str:
    """The whole scene as one sentence: "a small red boat on the left, on a beach, comic"."""
    place = PLACE_PHRASES[scene.background]
    style = _style(scene, rng) if rng is not None else scene.style
    if scene.object is None:
        return f"an empty scene {place}, {style}"
    size = "" if scene.size == "medium" else f"{scene.size} "
    noun = (
        f"{size}{scene.object} in {scene.colour}"
        if scene.object in PEOPLE
        else f"{size}{scene.colour} {scene.object}"
    )
    return f"{_with_article(noun)} {POSITION_PHRASES[scene.position]}, {place}, {style}"


def _drops(scene: Scene, rng: np.random.Generator) -> dict[str, bool]:
    """Which attributes are left unsaid; defaults (photo, centre, medium) more often."""
    chance = {
        "colour": 0.10,
        "size": 1.0 if scene.size == "medium" else 0.4,
        "background": 0.25 if scene.background == "plain background" else 0.08,
        "style": 0.5 if scene.style == "photo" else 0.06,
        "position": 0.6 if scene.position == "centre" else 0.12,
    }
    return {k: bool(rng.random() < p) for k, p in chance.items()}


def _noun(scene: Scene, colour: str, rng: np.random.Generator, article: bool) -> str:
    """The object and its colour; people wear theirs."""
    if scene.object in PEOPLE and colour and rng.random() < 0.8:
        return f"{scene.object} in {colour}" if article else f"{scene.object}, {colour} outfit"
    return f"{colour} {scene.object}".strip()


def _empty(scene: Scene, rng: np.random.Generator) -> str:
    """An empty place, in one of three forms."""
    phrase = PLACE_PHRASES[scene.background]
    place = scene.background if rng.random() < 0.5 else phrase
    forms = (f"an empty scene {phrase}", f"scene, {place}", f"{scene.background} scene")
    return forms[int(rng.integers(3))]


def describe(scene: Scene, rng: np.random.Generator) -> str:
    """A random true caption: sentence or tags, with attributes left out at random."""
    drop = _drops(scene, rng)
    style = "" if drop["style"] else _style(scene, rng)
    if scene.object is None:
        return ", ".join(p for p in (_empty(scene, rng), style) if p)
    colour = "" if drop["colour"] else scene.colour
    size = "" if drop["size"] else scene.size
    article = bool(rng.random() < 0.5)
    noun = " ".join(p for p in (size, _noun(scene, colour, rng, article)) if p)
    noun = _with_article(noun) if article else noun
    place = (
        ""
        if drop["background"]
        else (
            f"{scene.background} scene"
            if rng.random() < 0.1
            else PLACE_PHRASES[scene.background]
            if article or rng.random() < 0.2
            else scene.background
        )
    )
    position = (
        ""
        if drop["position"]
        else (POSITION_PHRASES[scene.position] if article else scene.position)
    )
    if article and position and rng.random() < 0.6:
        noun, position = f"{noun} {position}", ""
    elif article and place and rng.random() < 0.4:
        noun, place = f"{noun} {place}", ""
    tags = [t for t in (position, place) if t]
    if rng.random() < 0.3:
        tags.reverse()
    if style and rng.random() < 0.15:
        return ", ".join([f"{scene.style} of {noun}", *tags])
    return ", ".join([noun, *tags, *([style] if style else [])])
