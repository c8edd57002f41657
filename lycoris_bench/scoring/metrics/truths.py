"""Inputs of the metrics that say what is true of pictures of the miniature world, where everything
that a picture can show is known. They are no features: an oracle of their own reads the pictures.

A study has them where it names them: they judge other metrics, which a benchmark of a real model
cannot do, and are no part of what is found."""

from typing import Any

import numpy as np

from lycoris_bench.miniature.concepts import truth
from lycoris_bench.miniature.concepts.truth import Reading
from lycoris_bench.scoring.metrics.base import Array
from lycoris_bench.scoring.metrics.inputs import Input, ScoredSet

NEEDS = "concepts of the miniature world"


def concept(scored: ScoredSet) -> Any:
    """The taught concept of an image set, or None."""
    return truth.concept_of(scored.category, scored.class_name, scored.subclass)


def second(scored: ScoredSet) -> Any:
    """The second taught concept of an image set, or None."""
    return truth.concept_of(scored.second)


def _asked_as(scored: ScoredSet, other: Any) -> str:
    """Beside a style a character is not asked for in its own medium either."""
    return truth.OTHER_STYLE if other and other.kind == truth.OTHER_STYLE else scored.prompt_type


def _requests(scored: ScoredSet) -> list[Reading]:
    return [truth.asked(text, concept(scored)) for text in scored.texts]


def request(attribute: str = "") -> Input:
    """What each text asks for besides the concept, where all ask for the attribute (or anything):
    a list of n."""
    return Input(
        "requests",
        available=lambda s: bool(
            s.texts and concept(s)
            and all(attribute in one if attribute else one for one in _requests(s))
        ),
        needs=f"prompts that all ask for {attribute or 'something'} besides the concept",
        value=lambda s, _: _requests(s),
        identity=lambda s: list(s.texts),
    )  # fmt: skip


SEEN = Input(
    "seen",
    available=lambda s: bool(s.generated and concept(s)),
    needs=NEEDS,
    images=lambda s: s.generated,
    read=truth.read,
    content=truth.checksum,
)
"""What each generated image shows: a list of n readings."""
SEEN_OF_BASE = Input(
    "seen_of_base",
    available=lambda s: bool(s.base and concept(s)),
    needs="prompts whose images are compared with the base model's",
    images=lambda s: s.base,
    collection="base",
    read=truth.read,
    identity=lambda s: [uid for uid, _ in s.base],
    content=truth.checksum,
)
"""What the base model's images of the same prompts and seeds show."""
EXPECTED = Input(
    "expected",
    available=lambda s: concept(s) is not None,
    needs=NEEDS,
    collection="reference",  # showing it is a fault where nothing asks for the concept
    value=lambda s, _: truth.shown_by(concept(s), _asked_as(s, second(s))),
)
"""What an image shows that shows the concept: one reading."""
EXPECTED_SECOND = Input(
    "expected_second",
    available=lambda s: second(s) is not None,
    needs=f"prompts of two {NEEDS}",
    collection="reference",
    value=lambda s, _: truth.shown_by(second(s), _asked_as(s, concept(s))),
)
"""What an image shows that shows the second concept of its prompt."""
ALIKE = Input(
    "alike",
    available=lambda s: len(s.generated) > len(set(s.groups or [0])),
    needs="sampling.images of 2 or more",
    value=lambda s, _: np.array(s.groups or [0] * len(s.generated)),
    identity=lambda s: list(s.groups),
)
"""The diversity group of each image; real images are one group."""


def agreement(seen: Reading, other: Reading) -> float:
    """The share of what `other` names that is seen as well."""
    return sum(seen[name] == value for name, value in other.items()) / len(other)


def shown(seen: list[Reading], requests: list[Reading], attribute: str = "") -> Array:
    """The share of what each text asks for, or of one attribute of it, that its image shows:
    [n]."""
    pairs = zip(seen, requests, strict=True)
    return np.array(
        [
            agreement(one, {attribute: request[attribute]} if attribute else request)
            for one, request in pairs
        ]
    )


def shows(seen: list[Reading], expected: Reading) -> Array:
    """1 for each image that shows all that is expected, else 0: [n]."""
    return np.array([float(all(one[k] == v for k, v in expected.items())) for one in seen])


def unlike_pairs(seen: list[Reading], groups: Array, attribute: str) -> float:
    """The share of the pairs of images of a group that differ in an attribute, averaged over the
    groups of two or more."""
    values = np.array([one[attribute] for one in seen])
    shares = []
    for group in np.unique(groups):
        own = values[groups == group]
        if (n := len(own)) > 1:
            same = sum(count * (count - 1) for count in np.unique(own, return_counts=True)[1])
            shares.append(1 - same / (n * (n - 1)))
    return float(np.mean(shares))
