"""Scores of all that a run has drawn, and of parts of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Sampled:
    """Scores by one criterion at the last epoch, of configurations that have the same cells.

    whole [configurations, seeds, classes]: of all that was drawn. of_images: by how many images a
    set has, [subsets, configurations, seeds, classes] of disjoint subsets; empty where a run keeps
    no numbers of parts. of_seeds: the same by how many seeds, of choices of so many. true, as
    `whole`: by what is true of the pictures, or None. least: images that the metric needs."""

    images: int
    whole: Array
    of_images: Mapping[int, Array] = field(default_factory=dict)
    of_seeds: Mapping[int, Array] = field(default_factory=dict)
    true: Array | None = None
    least: int = 1

    @property
    def classes(self) -> int:
        return self.whole.shape[-1]

    @property
    def seeds(self) -> int:
        return self.whole.shape[-2]

    @property
    def configurations(self) -> int:
        return self.whole.shape[-3]

    @cached_property
    def all_images(self) -> dict[int, Array]:
        """`of_images`, and all of them as the last."""
        return {**self.of_images, self.images: self.whole[None]}

    def among(self, classes: Array) -> "Sampled":
        """Of some classes: no class has a part in the ranks of another."""

        def kept(by_count: Mapping[int, Array]) -> dict[int, Array]:
            return {count: scores[..., classes] for count, scores in by_count.items()}

        return Sampled(
            self.images,
            self.whole[..., classes],
            kept(self.of_images),
            kept(self.of_seeds),
            None if self.true is None else self.true[..., classes],
            self.least,
        )
