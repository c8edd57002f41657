"""How much cells of seeds x classes vary: mean squares of a table, and the variances behind them.

With the mean squares A of seeds, B of classes and E of the residual, the variance of the mean is
(A + B - E) / (S C) (two-way random effects), and its degrees of freedom are Satterthwaite's
(1946)."""

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class MeanSquares:
    """A, B and E of grids of `seeds` x `classes` cells; arrays of one shape, a number a grid. A
    grid of one seed has the class term alone, one of a single class the seed term alone."""

    a: Array
    b: Array
    e: Array
    seeds: Array | int
    classes: Array | int

    @property
    def total(self) -> Array:
        """max(A + B - E, A, B, E): no estimate falls below one of its parts."""
        parts = [self.a + self.b - self.e, self.a, self.b, self.e]
        return np.asarray(np.max(parts, axis=0))

    @property
    def variance(self) -> Array:
        """Of the mean of a grid."""
        return np.asarray(self.total / (self.seeds * self.classes))

    @property
    def df(self) -> Array:
        """total² / sum of M² / df(M); where nothing varies, the largest df of a term."""
        s, c = np.asarray(self.seeds) - 1, np.asarray(self.classes) - 1
        spread = sum(
            np.divide(m**2, n, out=np.zeros(np.shape(m)), where=n > 0)
            for m, n in ((self.a, s), (self.b, c), (self.e, s * c))
        )
        most = np.asarray(np.maximum(np.maximum(s, c), s * c) + np.zeros(np.shape(spread)))
        return np.divide(self.total**2, spread, out=most, where=np.asarray(spread) > 0)

    @property
    def components(self) -> "Components":
        """What they consist of. With one seed or one class the rest cannot be told from the other
        term, and counts as that."""
        grid = (np.asarray(self.seeds) > 1) & (np.asarray(self.classes) > 1)
        seeds, classes = np.maximum(self.seeds, 1), np.maximum(self.classes, 1)  # 0: no cell
        of_seeds = np.where(grid, (self.a - self.e) / classes, self.a)
        of_classes = np.where(grid, (self.b - self.e) / seeds, self.b)
        return Components(of_seeds, of_classes, self.e)


@dataclass(frozen=True)
class Components:
    """Variances of a cell: what all classes of a seed share, what all seeds of a class share, and
    the rest. Estimates may lie below 0. Numbers, or arrays with one a grid."""

    of_seeds: Array | float
    of_classes: Array | float
    residual: Array | float

    def mean(self) -> "Components":
        """The average over the grids."""
        parts = (self.of_seeds, self.of_classes, self.residual)
        return Components(*(float(np.mean(part)) for part in parts))

    def at_least_0(self) -> "Components":
        """As no variance is below 0."""
        parts = (self.of_seeds, self.of_classes, self.residual)
        return Components(*(max(0.0, float(part)) for part in parts))

    def mean_squares(self, seeds: Array | int, classes: Array | int) -> MeanSquares:
        """What mean squares grids of these sizes are expected to have."""
        several, many = np.asarray(seeds) > 1, np.asarray(classes) > 1
        return MeanSquares(
            np.where(several, classes * self.of_seeds + self.residual, 0.0),
            np.where(many, seeds * self.of_classes + self.residual, 0.0),
            np.where(several & many, self.residual, 0.0),
            seeds,
            classes,
        )


@dataclass(frozen=True)
class Noise:
    """The components of a difference of two configurations, as all of a study show them, with
    `times` the degrees of freedom of one pair: K - 1 for K configurations."""

    components: Components
    times: float

    def of(self, seeds: int, classes: int, weight: float) -> tuple[float, float]:
        """Variance and df of the mean of seeds x classes cells, `weight` times as noisy."""
        squares = self.components.mean_squares(seeds, classes)
        return weight * float(squares.variance), self.times * float(squares.df)


def mean_squares(cells: Array) -> MeanSquares:
    """Of complete grids, [..., seeds, classes]."""
    seeds, classes = cells.shape[-2:]
    of_seeds, of_classes = cells.mean(axis=-1), cells.mean(axis=-2)
    mean = of_seeds.mean(axis=-1)
    none = np.zeros_like(mean)
    residual = cells - of_seeds[..., None] - of_classes[..., None, :] + mean[..., None, None]
    rest = (seeds - 1) * (classes - 1)
    return MeanSquares(
        classes * of_seeds.var(axis=-1, ddof=1) if seeds > 1 else none,
        seeds * of_classes.var(axis=-1, ddof=1) if classes > 1 else none,
        (residual**2).sum(axis=(-1, -2)) / rest if rest else none,
        seeds,
        classes,
    )
