"""Pictures of anything in the world, the concepts among it, whose truth is known: what the concept
oracle learns from, and is judged by. None of them is a file of the dataset."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lycoris_bench.miniature.concepts.build import camera
from lycoris_bench.miniature.concepts.identities import identity_parts
from lycoris_bench.miniature.concepts.styles import CONCEPT_STYLES
from lycoris_bench.miniature.concepts.table import CONCEPTS, ConceptDesign
from lycoris_bench.miniature.world import figures, people
from lycoris_bench.miniature.world.canvas import RGB, Part
from lycoris_bench.miniature.world.figures import Robot, Toy
from lycoris_bench.miniature.world.people import Person
from lycoris_bench.miniature.world.places import PLACES, Place
from lycoris_bench.miniature.world.scene import (
    BACKGROUNDS,
    COLOURS,
    OBJECTS,
    POSITIONS,
    SIZES,
    STYLE_NAMES,
    Scene,
    any_of,
    compose,
    layout,
    object_parts,
    shade,
)
from lycoris_bench.miniature.world.styles import STYLES

NONE = "none"  # no concept's identity
EMPTY = "nothing"  # a place with nobody in it
Look = Person | Robot | Toy


def identity_of(concept: ConceptDesign) -> str:
    """The name of who a concept shows, whatever the medium; "" for styles and scenes."""
    if concept.look is None:
        return ""
    trait = concept.subclass
    if concept.category == "media-characters":  # "trait, medium", or the medium alone
        trait = trait.rpartition(", ")[0]
    return f"{concept.name}, {trait}" if trait else concept.name


_SHOWN: dict[str, ConceptDesign] = {}
for _concept in CONCEPTS:
    if identity_of(_concept):
        _SHOWN.setdefault(identity_of(_concept), _concept)
_PLACES: dict[str, Place] = {c.name: c.place for c in CONCEPTS if c.place}
IDENTITIES: tuple[str, ...] = (NONE, *_SHOWN)
ALL_PLACES: tuple[str, ...] = (*BACKGROUNDS, *_PLACES)
ALL_STYLES: tuple[str, ...] = (*STYLE_NAMES, *CONCEPT_STYLES)
TRUTHS: dict[str, tuple[str, ...]] = {
    "identity": IDENTITIES,
    "object": (*OBJECTS, EMPTY),
    "colour": tuple(COLOURS),
    "place": ALL_PLACES,
    "style": ALL_STYLES,
    "position": tuple(POSITIONS),
    "size": tuple(SIZES),
}
"""What is known of a picture, and the values that it may have."""


@dataclass(frozen=True)
class Sight:
    """One picture's truth. "" is unknown: the object of a look-alike, the colour of a character,
    the size of nobody."""

    identity: str = NONE
    object: str = ""
    colour: str = ""
    place: str = "plain background"
    style: str = "photo"
    position: str = "centre"
    size: str = ""


def sample_sight(rng: np.random.Generator) -> Sight:
    """Someone taught, someone who looks like them, anyone, or a thing; in any place and style."""
    place = any_of(rng, tuple(_PLACES)) if rng.random() < 0.25 else any_of(rng, BACKGROUNDS)
    styles = tuple(CONCEPT_STYLES) if rng.random() < 0.3 else STYLE_NAMES
    seen = Sight(place=place, style=any_of(rng, styles), position=any_of(rng, tuple(POSITIONS)))
    kind = rng.random()
    if kind < 0.05:
        return replace(seen, object=EMPTY)
    seen = replace(seen, size=any_of(rng, tuple(SIZES)))
    if kind < 0.5:
        who = any_of(rng, IDENTITIES[1:])
        return replace(seen, identity=who, object=_SHOWN[who].class_word)
    if kind < 0.7:
        return seen  # a look-alike, or anyone
    return replace(seen, object=any_of(rng, OBJECTS), colour=any_of(rng, tuple(COLOURS)))


def render_sight(seen: Sight, seed: int) -> np.ndarray:
    """The picture, uint8 (64, 64, 3); deterministic in (sight, seed)."""
    rng = np.random.default_rng([4711, seed])
    place = (_PLACES.get(seen.place) or PLACES[seen.place])(rng)
    if seen.place in _PLACES:
        place = camera(place, rng)
    scene = Scene(position=seen.position, size=seen.size or any_of(rng, tuple(SIZES)))
    at, height, turn, flip = layout(scene, rng)
    style = CONCEPT_STYLES.get(seen.style) or STYLES[seen.style]
    return np.asarray(compose(place, _thing(seen, rng), style, at, height, turn, rng, flip=flip))


def _thing(seen: Sight, rng: np.random.Generator) -> list[Part]:
    if seen.identity != NONE:
        return _parts(_look(_SHOWN[seen.identity], rng))
    if seen.object == EMPTY:
        return []
    if seen.colour:
        return object_parts(seen.object, shade(COLOURS[seen.colour], rng), rng)
    if rng.random() < 0.6:
        return _parts(_altered(_look(any_of(rng, tuple(_SHOWN.values())), rng), rng))
    return identity_parts(int(rng.integers(10_000, 1_000_000)))


def _look(concept: ConceptDesign, rng: np.random.Generator) -> Look:
    look = concept.look
    assert look is not None
    if concept.free_outfit and isinstance(look, Person):
        outfit = shade(COLOURS[any_of(rng, tuple(COLOURS))], rng)
        return replace(look, outfit=outfit, pattern="plain")
    return look


def _parts(look: Look) -> list[Part]:
    if isinstance(look, Person):
        return people.person(look)
    return figures.robot(look) if isinstance(look, Robot) else figures.toy(look)


def _colour(rng: np.random.Generator) -> RGB:
    red, green, blue = (float(v) for v in rng.uniform(15, 250, 3))
    return red, green, blue


def _altered(look: Look, rng: np.random.Generator) -> Look:
    """Somebody else with something of a taught look: what makes it is changed, the rest is kept."""
    if isinstance(look, Toy):
        return Toy(
            _colour(rng), any_of(rng, ("round", "long", "floppy")), look.shell, look.claws,
            *([None] * 3),
        ) if rng.random() < 0.5 else replace(look, colour=_colour(rng))  # fmt: skip
    if isinstance(look, Robot):
        return replace(look, colour=_colour(rng), eye_colour=_colour(rng), eyes="two")
    hair = any_of(rng, tuple(h for h in people.HAIR_STYLES if h != look.hair_style))
    hat = any_of(rng, tuple(h for h in people.HATS if h != look.hat))
    return replace(look, hair=_colour(rng), hair_style=hair, hat=hat, hat_colour=_colour(rng))


def expected(concept: ConceptDesign) -> dict[str, str]:
    """What a picture shows that shows the concept: its identity and, where it has one of its own,
    its medium; its place; or its style."""
    if concept.kind == "style":
        return {"style": concept.name}
    if concept.place:
        return {"place": concept.name}
    bound = concept.category == "media-characters" and concept.subclass
    medium = {"style": concept.styles[0]} if bound else {}
    return {"identity": identity_of(concept), **medium}
