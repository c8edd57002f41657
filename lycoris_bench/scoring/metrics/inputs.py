"""The inputs of metrics: a table with a row for each parameter name that they may use.

A metric with a new kind of input brings a row of its own, in its own file:

    PIXELS = Input("pixels", available=lambda s: bool(s.generated), images=lambda s: s.generated,
                   read=lambda picture: np.asarray(picture.image))

    @metric(better="higher", encoder=None, inputs=[PIXELS])
    def colourfulness(pixels): ...
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Item = tuple[str, Path]
"""An image: the uid of its content, and where it lies."""


@dataclass(frozen=True, eq=False)
class ScoredSet:
    """The images of one concept and prompt type, or of all concepts together (which have no
    category), and what they are compared with. What there is none of is empty.

    Row i of `base`, `texts` and `groups` belongs to row i of `generated`; `weights` say how much
    each image of `generated` and of `reference` counts."""

    prompt_type: str
    generated: Sequence[Item]
    reference: Sequence[Item] = ()
    base: Sequence[Item] = ()
    texts: Sequence[str] = ()
    groups: Sequence[int] = ()
    weights: tuple[Sequence[float], Sequence[float]] = ((), ())
    kind: str = ""  # of the concept
    category: str = ""
    class_name: str = ""
    subclass: str = ""
    second: str = ""  # concept of the prompts
    second_reference: Sequence[Item] = ()

    @property
    def cell(self) -> tuple[str, str, str, str, str]:
        """Category, class, sub-class, prompt type and second concept, as in the metric table."""
        return self.category, self.class_name, self.subclass, self.prompt_type, self.second

    def halves(self) -> "tuple[ScoredSet, ScoredSet]":
        """The first half of the generated images, and the rest, with what belongs to them."""
        middle, count = len(self.generated) // 2, len(self.generated)
        return self._of(range(middle)), self._of(range(middle, count))

    def without_each(self) -> Iterator["ScoredSet"]:
        """The set without its first image, without its second, and so on."""
        places = range(len(self.generated))
        return (self._of([k for k in places if k != out]) for out in places)

    def _of(self, places: Sequence[int]) -> "ScoredSet":
        """Some of the generated images, with what belongs to them."""
        own = {name: getattr(self, name) for name in ("generated", "base", "texts", "groups")}
        kept: dict[str, Any] = {
            name: [all_[k] for k in places] if all_ else () for name, all_ in own.items()
        }
        return replace(self, **kept)


class Features(Protocol):
    """Features of images and texts by an encoder, or values that `Input.read` gives for images."""

    def images(self, row: "Input", images: Sequence[Item]) -> Any:
        """[n, d]; of Gram matrices their mean and spread (`GramSet`); a list of what is read."""

    def texts(self, texts: Sequence[str]) -> Any:
        """[n, d]"""


@dataclass(frozen=True)
class Input:
    """One parameter of metrics.

    `available`: whether an image set has it; `needs` says what a study must have for that.
    `images`: those it is made from, by default none, which the metric gets as its encoder's
    features, or as a list of what `read` makes of each (of an `encoders.resize.Picture`; it is
    kept in memory for all images of a checkpoint, so it should be small). `collection`: among
    which images they are, whose features are stored together. `value`: what the metric gets where
    it is neither.
    `identity`: what must agree for two numbers to be ranked together. `content`: identity of what
    is read besides images, such as a file's checksum: stored numbers are of that content."""

    name: str
    available: Callable[[ScoredSet], bool]
    needs: str = ""
    images: Callable[[ScoredSet], Sequence[Item]] = lambda _: ()
    collection: str = "generated"
    read: Callable[[Any], Any] | None = None
    value: Callable[[ScoredSet, Features], Any] | None = None
    identity: Callable[[ScoredSet], Any] | None = None
    content: Callable[[], str] | None = None

    @property
    def is_encoded(self) -> bool:
        """Whether it is an encoder's features of images."""
        return self.read is None and self.value is None

    def of(self, scored: ScoredSet, features: Features) -> Any:
        """The value of this parameter for an image set."""
        if self.value is not None:
            return self.value(scored, features)
        return features.images(self, self.images(scored))


def comparison_key(rows: Sequence[Input], scored: ScoredSet) -> list[Any]:
    """Identity of what the generated images are compared with: only numbers that agree in it may
    be ranked together."""
    return [row.identity(scored) for row in rows if row.identity is not None]


def contents(rows: Sequence[Input]) -> list[str]:
    """Identity of the sources other than images that the inputs are read from."""
    return [row.content() for row in rows if row.content is not None]


def _uids(images: Sequence[Item]) -> list[str]:
    return [uid for uid, _ in images]


INPUTS = {
    row.name: row
    for row in (
        Input(
            "generated",
            available=lambda s: bool(s.generated),
            images=lambda s: s.generated,
        ),
        Input(
            "reference",
            available=lambda s: bool(s.reference),
            needs="prompts whose images are compared with the dataset's",
            images=lambda s: s.reference,
            collection="reference",
            identity=lambda s: _uids(s.reference),
        ),
        Input(
            "base",
            available=lambda s: bool(s.base),
            needs="prompts whose images are compared with the base model's",
            images=lambda s: s.base,
            collection="base",
            identity=lambda s: _uids(s.base),
        ),
        Input(  # a style has no plain words of its own
            "text",
            available=lambda s: bool(s.texts) and all(s.texts),
            needs="prompts that are more than a trigger word",
            value=lambda s, features: features.texts(s.texts),
            identity=lambda s: list(s.texts),
        ),
        Input(  # diversity inside groups of one image says nothing
            "groups",
            available=lambda s: len(set(s.groups)) < len(s.groups),
            needs="sampling.images of 2 or more",
            value=lambda s, _: np.array(s.groups),
            identity=lambda s: list(s.groups),
        ),
        Input(  # one image has no spread
            "weights",
            available=lambda s: min(map(len, s.weights)) > 1,
            needs="sampling.images of 2 or more",
            value=lambda s, _: tuple(map(np.array, s.weights)),
            identity=lambda s: [list(side) for side in s.weights],
        ),
    )
}
