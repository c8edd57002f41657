"""Studies of known variance components, down to the single image, and what part of them says."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from lycoris_bench.analysis.enough.sampled import Sampled

Array = np.ndarray


@dataclass(frozen=True)
class Variances:
    """Of the value of one configuration: half of those of a difference."""

    of_seeds: float = 0.0
    of_classes: float = 0.0
    residual: float = 0.0
    of_images: float = 0.0  # of a class, shared by its seeds
    rest: float = 0.0  # of a single image
    shared: float = 0.0  # of image k, shared by all classes and seeds

    def draw(self, true: Array, seeds: int, classes: int, images: int, random: object) -> Array:
        """[configurations, seeds, classes, images]"""
        assert isinstance(random, np.random.Generator)
        count = len(true)
        values = np.asarray(true)[:, None, None, None]
        for variance, shape in (
            (self.of_seeds, (count, seeds, 1, 1)),
            (self.of_classes, (count, 1, classes, 1)),
            (self.residual, (count, seeds, classes, 1)),
            (self.of_images, (count, 1, classes, images)),
            (self.rest, (count, seeds, classes, images)),
            (self.shared, (count, 1, 1, images)),
        ):
            values = values + random.normal(0, np.sqrt(variance), shape)
        return values


def ranked(values: Array) -> Array:
    """Scores [configurations, seeds, classes] among all of these checkpoints."""
    flat = values.reshape(-1, values.shape[-1])
    return ((stats.rankdata(flat, axis=0) - 1) / (len(flat) - 1)).reshape(values.shape)


def sampled(values: Array, by_rank: bool = True, true: Array | None = None) -> Sampled:
    """What a run keeps of these values [configurations, seeds, classes, images]."""
    score = ranked if by_rank else (lambda means: means)
    _, seeds, _, images = values.shape
    of_images: Mapping[int, Array] = {
        size: np.stack(
            [score(values[..., k :: images // size][..., :size].mean(axis=-1))
             for k in range(images // size)]
        )
        for size in (1, 2, 4, 8, 16)
        if 2 * size <= images
    }  # fmt: skip
    means = values.mean(axis=-1)
    of_seeds = {
        count: np.stack([score(means[:, list(c)]) for c in combinations(range(seeds), count)])
        for count in range(1, seeds)
    }
    return Sampled(images, score(means), of_images, of_seeds, true)
