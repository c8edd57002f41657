"""The fine-tuning dataset: five categories of concepts that the base model does not know.

`python -m lycoris_bench.miniature.concepts.build OUT` writes OUT/dataset and OUT/heldout.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from lycoris_bench.miniature.concepts.table import CONCEPTS, SIZES, ConceptDesign
from lycoris_bench.miniature.world.canvas import Part
from lycoris_bench.miniature.world.figures import Robot, Toy, robot, toy
from lycoris_bench.miniature.world.people import Person, person
from lycoris_bench.miniature.world.places import PLACES
from lycoris_bench.miniature.world.scene import (
    COLOURS,
    Scene,
    compose,
    layout,
    object_parts,
    sample_scene,
    shade,
)
from lycoris_bench.miniature.world.styles import STYLES

HELD_OUT = 8
_FIGURES: dict[type, Callable[..., list[Part]]] = {Person: person, Robot: robot, Toy: toy}


@dataclass(frozen=True)
class TaggedImage:
    """One picture of a concept, with the tags that are not the concept."""

    image: Image.Image
    tags: tuple[str, ...]


def _scene(concept: ConceptDesign, rng: np.random.Generator) -> Scene:
    """A random scene in the concept's range of places and styles, without the concept."""
    scene = replace(sample_scene(rng), style=str(rng.choice(concept.styles)))
    if concept.kind == "style":
        return scene
    if concept.category == "scenes":
        return replace(scene, size="small") if rng.random() < 0.5 else replace(scene, object=None)
    return replace(
        scene, background=str(rng.choice(concept.places)), size=str(rng.choice(["medium", "big"]))
    )


def camera(parts: list[Part], rng: np.random.Generator) -> list[Part]:
    """A place seen a little nearer and from a little aside, so that its pictures differ."""
    zoom, dx, dy = rng.uniform(1.0, 1.25), rng.uniform(-0.08, 0.08), rng.uniform(-0.05, 0.05)

    def moved(part: Part) -> Part:
        points = tuple(
            (0.5 + dx + zoom * (x - 0.5), 0.5 + dy + zoom * (y - 0.5)) for x, y in part.points
        )
        return replace(part, points=points, width=part.width * zoom)

    return [moved(part) for part in parts]


def _tags(concept: ConceptDesign, scene: Scene, outfit: str | None) -> tuple[str, ...]:
    """Place, position, style and whatever else the concept does not fix."""
    thing = f"{scene.colour} {scene.object}"
    position = () if scene.position == "centre" else (scene.position,)
    if concept.kind == "style":
        return (thing, *position, scene.background)
    if concept.category == "scenes":
        seen = (thing, *position) if scene.object else ()
        return (*seen, scene.style)
    style = () if concept.category == "media-characters" and concept.subclass else (scene.style,)
    return (*((f"{outfit} outfit",) if outfit else ()), *position, scene.background, *style)


def picture(concept: ConceptDesign, index: int, held_out: bool = False) -> TaggedImage:
    """Picture number `index` of a concept; the training and held-out sequences never meet."""
    rng = np.random.default_rng([CONCEPTS.index(concept), index, int(held_out)])
    scene, outfit = _scene(concept, rng), None
    at, height, turn, flip = layout(scene, rng)
    place = (concept.place or PLACES[scene.background])(rng)
    place = camera(place, rng) if concept.place else place
    look = concept.look
    if look is not None:
        if concept.free_outfit and isinstance(look, Person):
            outfit = str(rng.choice(list(COLOURS)))
            look = replace(look, outfit=shade(COLOURS[outfit], rng), pattern="plain")
        parts = _FIGURES[type(look)](look)
        height *= 0.95
    else:
        parts = (
            object_parts(scene.object, shade(COLOURS[scene.colour], rng), rng)
            if scene.object
            else []
        )
    size = SIZES[concept.shape][index % len(SIZES[concept.shape])]
    style = concept.render_style or STYLES[scene.style]
    image = compose(place, parts, style, at, height, turn, rng, size, flip)
    return TaggedImage(image, _tags(concept, scene, outfit))


def caption(concept: ConceptDesign, tags: tuple[str, ...]) -> str:
    """The concept's descriptor and the tags."""
    return ", ".join((concept.descriptor, *tags))


def records() -> str:
    """The text of concepts.toml."""
    lines = ["# One table per class; see docs/miniature.md for the fields."]
    for c in CONCEPTS:
        lines += ["", f'["{c.key}"]', f'trigger = "{c.trigger}"', f'class_word = "{c.class_word}"']
        if c.subclass_words:
            lines.append(f'subclass_words = "{c.subclass_words}"')
        lines.append(f'description = "{c.description}"')
        if c.kind:
            lines.append(f'kind = "{c.kind}"')
    return "\n".join(lines) + "\n"


def write(out: Path) -> None:
    """Write the training and the held-out pictures, captions and concepts.toml under `out`."""
    for concept in CONCEPTS:
        for name, count in (("dataset", concept.count), ("heldout", HELD_OUT)):
            folder = out / name / concept.key
            folder.mkdir(parents=True, exist_ok=True)
            for k in range(count):
                shown = picture(concept, k, name == "heldout")
                shown.image.save(folder / f"{k + 1:04d}.png", optimize=True)
                if name == "dataset":
                    text = caption(concept, shown.tags) + "\n"
                    (folder / f"{k + 1:04d}.txt").write_text(text, encoding="utf-8")
    (out / "dataset" / "concepts.toml").write_text(records(), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m lycoris_bench.miniature.concepts.build OUT")
    write(Path(sys.argv[1]))
