"""Scenes are what they say they are."""

from dataclasses import replace

import numpy as np
import pytest

from lycoris_bench.miniature.pretraining.training_set import scene_of
from lycoris_bench.miniature.world.captions import PLACE_PHRASES, describe, sentence
from lycoris_bench.miniature.world.scene import (
    BACKGROUNDS,
    COLOURS,
    OBJECTS,
    POSITIONS,
    SIZES,
    STYLE_NAMES,
    Scene,
    render,
    sample_scene,
)
from lycoris_bench.miniature.world.words import world_words


def test_vocabulary_is_as_rich_as_promised():
    assert len(OBJECTS) >= 14 and len(COLOURS) == 10
    assert len(BACKGROUNDS) >= 8 and len(STYLE_NAMES) >= 6


def test_rendering_depends_on_scene_and_seed_only():
    scene = Scene("cat", "blue", "city", "oil painting", "left", "big")
    first, again = np.asarray(render(scene, 5)), np.asarray(render(scene, 5))
    assert first.shape == (64, 64, 3) and (first == again).all()
    assert (first != np.asarray(render(scene, 6))).any()


@pytest.mark.parametrize("size", [(64, 80), (72, 56)])
def test_other_sizes(size):
    assert render(Scene(), 0, size).size == size


def _centre(scene: Scene) -> float:
    """Mean column of the pixels that differ from the same place without the object."""
    shown, empty = (np.asarray(render(s, 3), float) for s in (scene, replace(scene, object=None)))
    return float(np.nonzero(np.abs(shown - empty).sum(-1) > 60)[1].mean())


@pytest.mark.parametrize("thing", OBJECTS)
def test_position_word_says_where_the_pixels_are(thing):
    at = [_centre(Scene(thing, "red", "plain background", position=p)) for p in POSITIONS]
    assert at[0] < 26 < at[1] < 38 < at[2]


@pytest.mark.parametrize("thing", OBJECTS)
def test_bigger_words_cover_more_pixels(thing):
    plain = replace(Scene(thing, "red"), style="pixel art")
    covered = []
    for size in SIZES:
        scene = replace(plain, size=size)
        shown, empty = (
            np.asarray(render(s, 3), float) for s in (scene, replace(scene, object=None))
        )
        covered.append(int((np.abs(shown - empty).sum(-1) > 60).sum()))
    assert covered[0] < covered[1] < covered[2]


@pytest.mark.parametrize("colour", COLOURS)
def test_colour_is_that_of_the_walls(colour):
    pixels = np.asarray(render(Scene("house", colour, size="big"), 1), float)[34:44, 20:44]
    away = {k: np.abs(pixels.mean((0, 1)) - v).sum() for k, v in COLOURS.items()}
    assert min(away, key=away.get) == colour


def test_captions_say_only_what_is_true():
    rng, words = np.random.default_rng(8), set(world_words())
    groups = [set(COLOURS), set(OBJECTS), set(BACKGROUNDS), set(POSITIONS), set(SIZES)]
    for _ in range(500):
        scene = sample_scene(rng, empty=0.1)
        text = describe(scene, rng)
        said = set(text.replace(",", "").split())
        assert said <= words, text
        truth = {scene.colour, scene.object, scene.background, scene.position, scene.size}
        for group in groups:
            allowed = truth | set(scene.style.split()) | set(scene.background.split())
            assert said & group <= allowed, (text, scene)
        named = [s for s in STYLE_NAMES if s in text]
        assert named in ([], [scene.style])
        if scene.object is None:
            assert not said & set(OBJECTS) and "scene" in said


def test_sentences_name_everything():
    scene = Scene("umbrella", "orange", "snow", "neon", "right", "medium")
    assert sentence(scene) == "an orange umbrella on the right, in the snow, neon"
    assert sentence(replace(scene, object="girl", size="small")) == (
        "a small girl in orange on the right, in the snow, neon"
    )
    assert set(PLACE_PHRASES) == set(BACKGROUNDS)


def test_training_scenes_are_reproducible_and_varied():
    scenes = [scene_of(k) for k in range(400)]
    assert scenes[:3] == [scene_of(k) for k in range(3)]
    assert {s.object for s in scenes} == {*OBJECTS, None}
    assert {s.style for s in scenes} == set(STYLE_NAMES)
