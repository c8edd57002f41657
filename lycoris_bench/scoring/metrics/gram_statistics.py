"""The mean and spread of a set of Gram matrices, which a mean over all pairs of two sets needs.

VGG-19's five matrices of an image are 610 304 numbers; those of a set are never held at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.scoring.metrics.arrays import as_float64
from lycoris_bench.scoring.metrics.base import Array


@dataclass
class GramSet:
    """Count, mean (one [c, c] a layer) and the summed squared distance to the mean of the Gram
    matrices that were added, batch by batch."""

    count: int = 0
    mean: list[Array] = field(default_factory=list)
    scatter: float = 0.0

    def add(self, layers: Sequence[Any]) -> None:
        """Adds a batch, one [n, c, c] a layer, by the parallel update of mean and scatter
        (Chan, Golub and LeVeque, 1979): sums of squares would cancel.

        >>> grams = GramSet()
        >>> grams.add([np.array([[[1.0]], [[3.0]]])]); grams.add([np.array([[[8.0]]])])
        >>> grams.count, float(grams.mean[0][0, 0]), grams.variance  # of 1, 3 and 8
        (3, 4.0, 8.666666666666666)
        """
        stacks = [as_float64(layer, "a Gram matrix") for layer in layers]
        n = len(stacks[0])
        shapes = [stack.shape[1:] for stack in stacks]
        if self.count and shapes != [mean.shape for mean in self.mean]:
            raise BenchError(
                f"Gram matrices of shapes {shapes} cannot join a set of "
                f"{[mean.shape for mean in self.mean]}: they come from different encoders"
            )
        before = self.mean or [np.zeros(shape) for shape in shapes]
        total = self.count + n
        self.mean = []
        for stack, mean in zip(stacks, before, strict=True):
            centre = stack.mean(axis=0)
            self.scatter += float(np.square(stack - centre).sum())
            self.scatter += float(np.square(centre - mean).sum()) * self.count * n / total
            self.mean.append(mean + (centre - mean) * (n / total))
        self.count = total

    @property
    def variance(self) -> float:
        """Mean squared distance to the mean, summed over the layers."""
        return self.scatter / self.count
