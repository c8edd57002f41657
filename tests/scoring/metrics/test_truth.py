"""Metrics of the truth: what pictures of the small world show, read by its oracle.

Their arithmetic is compared with loops, what they read with pictures whose truth is known, and
what they take for a prompt's request with the shipped prompts."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from lycoris_bench.data.images import read_image
from lycoris_bench.miniature.concepts import truth
from lycoris_bench.miniature.concepts.sights import TRUTHS
from lycoris_bench.miniature.concepts.table import CONCEPTS
from lycoris_bench.planning import scored_rows
from lycoris_bench.planning.plan import plan
from lycoris_bench.scoring.encoders.resize import Picture
from lycoris_bench.scoring.metrics import METRICS, chosen
from lycoris_bench.scoring.metrics.base_kept import base_kept
from lycoris_bench.scoring.metrics.concept_shown import concept_shown
from lycoris_bench.scoring.metrics.inputs import ScoredSet
from lycoris_bench.scoring.metrics.request_shown import request_shown
from lycoris_bench.scoring.metrics.truths import SEEN, unlike_pairs
from lycoris_bench.scoring.metrics.variety import VARIES, variety
from tests.support.world import TABLE, tiny

ON_REQUEST = {
    name for name, one in METRICS.entries().items() if one.on_request and SEEN in one.inputs
}
BY_KEY = {concept.key: concept for concept in CONCEPTS}
HELDOUT = Path(truth.__file__).parents[1] / "heldout"


def test_they_are_there_for_studies_that_name_them_alone() -> None:
    assert {"concept_shown", "request_shown", "object_shown", "colour_shown", "place_shown",
            "variety", "base_kept", "second_shown", "both_shown"} == ON_REQUEST  # fmt: skip
    assert not ON_REQUEST & {one.__name__ for one in chosen([])}
    assert chosen([]) == chosen(["default"])
    both = {one.__name__ for one in chosen(["default", "variety"])}
    assert both == {one.__name__ for one in chosen([])} | {"variety"}
    asked = plan(tiny(scoring={**TABLE["scoring"], "metrics": ["variety", "vendi"]}))
    assert {one.__name__ for one in scored_rows.metrics(asked.study)} == {"variety", "vendi"}


@pytest.mark.parametrize("key", ["toys/bunny", "styles/woodcut", "scenes/castle",
                                 "media-characters/pilot/comic"])  # fmt: skip
def test_a_concept_is_seen_in_its_own_held_out_pictures_and_in_no_other(key: str) -> None:
    def seen(folder: str) -> list[truth.Reading]:
        files = sorted((HELDOUT / folder).glob("*.png"))[:4]
        return [truth.read(Picture(read_image(file))) for file in files]

    expected = truth.shown_by(BY_KEY[key], "trigger")
    assert concept_shown(seen(key), expected).mean() >= 0.75
    assert concept_shown(seen("toys/teddy"), expected).sum() == 0


def test_a_character_keeps_its_medium_unless_another_is_asked_for() -> None:
    pilot = BY_KEY["media-characters/pilot/comic"]
    assert truth.shown_by(pilot, "alter") == {"identity": "pilot", "style": "comic"}
    assert truth.shown_by(pilot, "style") == {"identity": "pilot"}
    assert truth.shown_by(BY_KEY["styles/woodcut"], "alter") == {"style": "woodcut"}


@pytest.mark.parametrize("concepts", ["toys/*", "styles/*", "scenes/*", "characters/*",
                                      "media-characters/*"])  # fmt: skip
def test_every_shipped_prompt_asks_for_what_it_says(concepts: str) -> None:
    """All words of a text but the concept's own and grammar are values that are asked for."""
    asked = plan(tiny(concepts=[concepts], sampling={"prompt_types": ["alter", "style"]}))
    grammar = {"a", "an", "the", "in", "on", "at", "of", "style"}
    for prompts in asked.prompt_sets:
        concept = BY_KEY[str(prompts.concept)]
        for text in prompts.texts:
            request = truth.asked(text, concept)
            said = [word for value in request.values() for word in value.split()]
            own = concept.description.split()
            left = [w for w in text.replace(",", " ").split() if w not in grammar]
            assert request, text
            assert sorted(left) == sorted([*said, *own]), (text, request)


def test_shares_of_what_is_asked_for() -> None:
    seen = [{"object": "boat", "colour": "red", "place": "snow"},
            {"object": "cat", "colour": "red", "place": "snow"}]  # fmt: skip
    requests = [{"object": "boat", "colour": "blue"}, {"place": "snow", "colour": "red"}]
    assert request_shown(seen, requests).tolist() == [0.5, 1.0]
    assert METRICS.get("colour_shown")(seen, requests).tolist() == [0.0, 1.0]


def random_readings(rng: np.random.Generator, count: int) -> list[truth.Reading]:
    values = {**TRUTHS, truth.BACKDROP: ("red", "blue")}
    return [{k: str(rng.choice(values[k][:3])) for k in values} for _ in range(count)]


def test_variety_is_the_share_of_unlike_pairs() -> None:
    rng = np.random.default_rng(0)
    seen, groups = random_readings(rng, 12), np.array([0] * 5 + [1] * 6 + [2])
    by_hand = [
        np.mean([
            np.mean([a[name] != b[name] for a, b in combinations(
                [one for one, g in zip(seen, groups, strict=True) if g == group], 2)])
            for group in (0, 1)
        ])
        for name in VARIES
    ]  # fmt: skip
    assert variety(seen, groups) == pytest.approx(np.mean(by_hand))


def test_variety_does_not_depend_on_the_number_of_images() -> None:
    rng, share = np.random.default_rng(1), (0.5, 0.3, 0.2)
    true = 1 - np.square(share).sum()
    for count in (2, 8):
        found = [
            unlike_pairs(
                [{"place": str(v)} for v in rng.choice(3, count, p=share)], np.zeros(count), "place"
            )
            for _ in range(3000)
        ]
        assert np.mean(found) == pytest.approx(true, abs=4 * np.std(found) / np.sqrt(3000))


def test_what_is_kept_of_base() -> None:
    base = [{"place": "snow", "style": "photo", "object": "boat"}] * 2
    seen = [{"place": "snow", "style": "comic", "object": "cat"}, base[0]]
    assert base_kept(seen, base).tolist() == [0.5, 1.0]


def test_concepts_of_another_world_have_no_truth() -> None:
    image = [("a", Path("a.png")), ("b", Path("b.png"))]
    theirs = ScoredSet("alter", image, base=image, texts=["a boat"] * 2, groups=[0, 0],
                       category="dogs", class_name="rex")  # fmt: skip
    for name in ON_REQUEST:
        assert not all(row.available(theirs) for row in METRICS.get(name).inputs)
