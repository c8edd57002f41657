"""Metrics of two concepts in a prompt, against loops, and against pictures whose truth is known."""

import numpy as np
import pytest

from lycoris_bench.miniature.concepts import truth
from lycoris_bench.miniature.concepts.sights import Sight, render_sight
from lycoris_bench.scoring.metrics.both_found import both_found
from lycoris_bench.scoring.metrics.both_shown import both_shown
from lycoris_bench.scoring.metrics.first_found import first_found
from lycoris_bench.scoring.metrics.inputs import ScoredSet
from lycoris_bench.scoring.metrics.second_found import second_found
from lycoris_bench.scoring.metrics.second_shown import second_shown
from lycoris_bench.scoring.metrics.second_similarity import second_similarity
from lycoris_bench.scoring.metrics.truths import EXPECTED, EXPECTED_SECOND


@pytest.fixture
def three():
    """Images of neither, one or both of two concepts, and the images of each, as features."""
    rng = np.random.default_rng(5)
    first, second = rng.normal(size=(2, 16))
    shared = rng.normal(size=16)  # what all pictures have in common

    def images(*parts, count):
        return shared + sum(parts, np.zeros(16)) + 0.4 * rng.normal(size=(count, 16))

    drawn = [images(count=4), images(first, count=4), images(second, count=4),
             images(first, second, count=4)]  # fmt: skip
    return np.concatenate(drawn), images(first, count=5), images(second, count=3)


def by_hand(generated, own, other, cosine):
    """Every mean as a loop over pairs."""
    among = [np.mean([cosine(a, b) for k, b in enumerate(own) if k != j])
             for j, a in enumerate(own)]  # fmt: skip
    between = [cosine(a, b) for a in other for b in own]
    line = np.mean(between) + 2 / 3 * (np.mean(among) - np.mean(between))
    return [float(np.mean([cosine(z, b) for b in own]) > line) for z in generated]


def test_the_line_is_that_of_a_loop_over_pairs(three, cosine):
    generated, own, other = three
    first, second = by_hand(*three, cosine), by_hand(generated, other, own, cosine)
    assert first_found(*three).tolist() == first
    assert second_found(*three).tolist() == second
    assert both_found(*three).tolist() == [a * b for a, b in zip(first, second, strict=True)]
    assert 0 < sum(first) < len(first) and 0 < sum(second) < len(second)
    similar = [np.mean([cosine(z, b) for b in other]) for z in generated]
    np.testing.assert_allclose(second_similarity(generated, other), similar)


def test_who_shows_both_is_told_from_who_shows_one():
    """Two concepts at any angle: the picture between them is found to show both, each concept's own
    pictures to show it alone."""
    for angle in (0.2, 0.4, 0.8, 1.2, 1.57, 1.9):
        own, other = np.array([1.0, 0.0]), np.array([np.cos(angle), np.sin(angle)])
        drawn = np.stack([own, other, own + other])
        sides = np.stack([own, own]), np.stack([other, other])
        assert first_found(drawn, *sides).tolist() == [1, 0, 1]
        assert second_found(drawn, *sides).tolist() == [0, 1, 1]
        assert both_found(drawn, *sides).tolist() == [0, 0, 1]


def test_one_image_cannot_be_compared_with_others_of_it(three):
    generated, own, other = three
    with pytest.raises(ValueError, match="^second_reference has one image; two are needed"):
        second_found(generated, own, other[:1])
    one = ScoredSet("compose", [], [("a", "a")] * 2, second_reference=[("b", "b")])
    row = next(row for row in first_found.inputs if row.name == "reference")
    assert not row.available(one) and "two images or more" in row.needs


def seen(**sight):
    return [truth.read(_Picture(render_sight(Sight(**sight), seed))) for seed in range(6)]


class _Picture:
    """As encoders see it, which keep what was read once."""

    def __init__(self, image):
        self.image = image

    def once(self, _, make):
        return make()


def test_the_oracle_knows_which_of_two_is_there():
    """A toy in a place and in a style, as rendered: in truth nearly always seen, and what is not
    rendered never."""
    scored = ScoredSet("compose", [], category="scenes", class_name="castle", second="toys/bunny")
    expected, second = (row.value(scored, None) for row in (EXPECTED, EXPECTED_SECOND))
    assert (expected, second) == ({"place": "castle"}, {"identity": "bunny"})
    both = seen(identity="bunny", place="castle")
    alone = seen(identity="bunny", place="beach")
    assert both_shown(both, expected, second).mean() > 0.8
    assert second_shown(alone, second).mean() > 0.8
    assert both_shown(alone, expected, second).max() == 0


def test_beside_a_style_a_character_is_not_asked_for_in_its_medium():
    about = {
        "category": "styles",
        "class_name": "woodcut",
        "second": "media-characters/pilot/comic",
    }
    scored = ScoredSet("compose", [], **about)
    assert EXPECTED_SECOND.value(scored, None) == {"identity": "pilot"}
    about = {"category": "toys", "class_name": "bunny", "second": "media-characters/pilot/comic"}
    assert EXPECTED_SECOND.value(ScoredSet("compose", [], **about), None) == {
        "identity": "pilot", "style": "comic",
    }  # fmt: skip
    assert not EXPECTED_SECOND.available(ScoredSet("trigger", []))
