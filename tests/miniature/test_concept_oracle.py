"""The judge of what adapters draw: it sees each concept, and none where there is none."""

import numpy as np
import pytest

from lycoris_bench.miniature.concepts.build import HELD_OUT
from lycoris_bench.miniature.concepts.oracle import labels, load_concept_oracle, shows
from lycoris_bench.miniature.concepts.sights import (
    IDENTITIES,
    TRUTHS,
    Sight,
    expected,
    render_sight,
)
from lycoris_bench.miniature.concepts.table import CONCEPTS
from lycoris_bench.miniature.pretraining import concept_oracle
from lycoris_bench.miniature.pretraining.concept_oracle import FRESH, sight_of


def test_every_concept_is_expected_to_show_something_that_no_other_does() -> None:
    shown = [tuple(sorted(expected(concept).items())) for concept in CONCEPTS]
    assert len(set(shown)) == len(CONCEPTS) == 39
    for concept in CONCEPTS:
        for name, value in expected(concept).items():
            assert value in TRUTHS[name]
    assert len(IDENTITIES) == 22  # nobody's, and those of 21 characters and toys


def test_what_a_sight_does_not_say_is_not_learned() -> None:
    found = labels([Sight(), Sight(identity="bunny", object="toy", place="castle")])
    assert found["identity"].tolist() == [0, IDENTITIES.index("bunny")]
    assert found["object"].tolist() == [-100, TRUTHS["object"].index("toy")]
    assert found["colour"].tolist() == [-100, -100]
    assert found["place"].tolist()[1] == TRUTHS["place"].index("castle")


def test_it_never_learned_from_a_file_of_the_dataset() -> None:
    """Its pictures of the concepts have other seeds; those that it is judged by other numbers."""
    assert max(concept.count for concept in CONCEPTS) + HELD_OUT < FRESH
    one, same, other = (render_sight(sight_of(k), seed) for k, seed in ((5, 5), (5, 5), (5, 6)))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


@pytest.mark.study
def test_it_sees_the_concepts_in_new_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concept_oracle, "TESTED", 2)
    monkeypatch.setattr(concept_oracle, "HELD", 60)
    found = concept_oracle.measure(load_concept_oracle())
    assert found["concepts"] >= 0.97
    assert found["a concept seen where there is none"] <= 0.05
    assert found["the least seen concept"] >= 0.5  # of two pictures
    assert min(found[name] for name in TRUTHS) > 0.8  # colours of 40 things, in all styles


def test_a_style_needs_no_character_and_a_medium_is_part_of_its_character() -> None:
    by_key = {concept.key: concept for concept in CONCEPTS}
    reading = {"identity": "admiral", "style": "photo", "place": "castle", "object": "boy",
               "colour": "red", "position": "left"}  # fmt: skip
    assert shows(reading, by_key["media-characters/admiral/photo"])
    assert not shows(reading, by_key["media-characters/admiral/pixel art"])
    assert shows(reading, by_key["scenes/castle"])
    assert not shows(reading, by_key["styles/woodcut"])
    assert shows({**reading, "style": "woodcut"}, by_key["styles/woodcut"])
