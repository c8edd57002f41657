"""Random figures in many scenes: what teaches the image encoder to tell unknown things apart.

An identity fixes every look of a person, robot, toy or thing; its views differ in place, style,
position and size.  The concepts of the fine-tuning set are never among them by construction:
looks are drawn from continuous colours.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lycoris_bench.miniature.world import figures, people
from lycoris_bench.miniature.world.canvas import RGB, Part
from lycoris_bench.miniature.world.places import PLACES
from lycoris_bench.miniature.world.scene import any_of, compose, layout, sample_scene
from lycoris_bench.miniature.world.shapes import THINGS
from lycoris_bench.miniature.world.styles import STYLES

IDENTITIES, VIEWS = 1500, 6


def _colour(rng: np.random.Generator) -> RGB:
    red, green, blue = (float(v) for v in rng.uniform(15, 250, 3))
    return red, green, blue


def identity_parts(identity: int) -> list[Part]:
    """The parts of random identity number `identity`."""
    rng = np.random.default_rng([4242, identity])
    main, kind = _colour(rng), rng.random()
    if kind < 0.45:
        return people.person(
            people.Person(
                main,
                bool(rng.random() < 0.5),
                any_of(rng, ((250, 216, 190), (225, 175, 135), (150, 100, 70), (170, 210, 150))),
                _colour(rng),
                any_of(rng, people.HAIR_STYLES),
                any_of(rng, people.HATS),
                _colour(rng),
                any_of(rng, people.PATTERNS),
                _colour(rng),
                bool(rng.random() < 0.25),
                bool(rng.random() < 0.2),
            )
        )
    if kind < 0.60:
        return figures.robot(
            figures.Robot(
                main,
                _colour(rng),
                any_of(rng, ("two", "one", "visor")),
                _colour(rng),
                any_of(rng, ("box", "dome")),
                int(rng.integers(3)),
                _colour(rng) if rng.random() < 0.5 else None,
            )
        )
    if kind < 0.80:

        def some(p: float) -> RGB | None:
            return _colour(rng) if rng.random() < p else None

        return figures.toy(
            figures.Toy(
                main,
                any_of(rng, ("round", "long", "floppy", "none")),
                some(0.4),
                some(0.3),
                some(0.2),
                some(0.2),
                some(0.3),
            )
        )
    return THINGS[any_of(rng, tuple(THINGS))](main)


def identity_view(identity: int, view: int) -> np.ndarray:
    """One picture of an identity, uint8 (64, 64, 3)."""
    rng = np.random.default_rng([4243, identity, view])
    scene = sample_scene(rng)
    at, height, turn, flip = layout(scene, rng)
    return np.asarray(
        compose(
            PLACES[scene.background](rng),
            identity_parts(identity),
            STYLES[scene.style],
            at,
            height,
            turn,
            rng,
            flip=flip,
        )
    )


def identity_set(work: Path) -> np.ndarray:
    """1500 identities in 6 views, uint8 (1500, 6, 64, 64, 3), rendered once."""
    path = work / "identities.npy"
    if not path.exists():
        np.save(path, identity_views(0, IDENTITIES, VIEWS))
    return np.load(path, mmap_mode="r")


def identity_views(start: int, count: int, views: int) -> np.ndarray:
    """Pictures of `count` identities, uint8 (count, views, 64, 64, 3)."""
    return np.stack(
        [np.stack([identity_view(i, v) for v in range(views)]) for i in range(start, start + count)]
    )
