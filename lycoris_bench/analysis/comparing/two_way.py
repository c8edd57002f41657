"""The error of a mean over seeds x classes, where both are samples of what could have been.

Cells of one seed share its training noise, cells of one class its difficulty: they are not
independent, and sd / sqrt(n) is too small."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from lycoris_bench.analysis.comparing.mean_squares import Noise, mean_squares

Array = np.ndarray


@dataclass(frozen=True)
class Estimate:
    """A mean, its standard error and the interval that holds the truth 95 times in 100.

    seeds, classes: of the cells it is of; `left_out`: cells with a value that have no place in a
    complete grid. Where there is no error (`reason` says why), stderr, df, low, high are nan."""

    mean: float
    stderr: float
    df: float
    seeds: int
    classes: int
    left_out: int = 0
    reason: str = ""

    @property
    def training_noise(self) -> bool:
        """Whether seeds were repeated. If not, it holds for these checkpoints alone: nothing says
        how far a second training would be from the first."""
        return self.seeds > 1

    @property
    def low(self) -> float:
        return self.interval()[0]

    @property
    def high(self) -> float:
        return self.interval()[1]

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """mean ± t(df) stderr."""
        half = float(special.stdtrit(self.df, (1 + level) / 2)) * self.stderr
        return self.mean - half, self.mean + half

    @property
    def p(self) -> float:
        """Of a mean at least this far from 0 if the truth is 0, either way; 1 without an error."""
        return float(two_sided(self.mean, self.stderr, self.df))

    def equivalent(self, margin: float, alpha: float = 0.05) -> bool:
        """Whether the truth is inside ± margin: two one-sided tests (Schuirmann 1987)."""
        return bool(outside(self.mean, self.stderr, self.df, margin) <= alpha)


def two_way(cells: Array, noise: Noise | None = None, weight: float = 1.0) -> Estimate:
    """Mean and error of cells [seeds, classes], nan where one is missing.

    Missing cells are met by dropping the seed or class that lacks most, until all are there.

    noise: of all pairs of the study (`pairs.study_noise`), if the cells are a contrast of its
    configurations: the variance is then the larger of both, with the noise's degrees of freedom.
    Two or three seeds alone say so little of how much seeds differ that small p-values come out too
    small where training noise dominates. weight: of the contrast against a single pair
    (`pairs.weight_of`): 1 / n for the mean of n separate pairs."""
    cells = np.asarray(cells, dtype="float64")
    there = ~np.isnan(cells)
    seeds, classes = complete(there)
    grid = cells[np.ix_(seeds, classes)]
    left_out = int(there.sum()) - grid.size
    if grid.size < 2:
        reason = "no cell of seed and class" if not grid.size else "only one cell of seed and class"
        mean = float(grid.mean()) if grid.size else np.nan
        return Estimate(mean, np.nan, np.nan, len(seeds), len(classes), left_out, reason)
    squares = mean_squares(grid)
    variance, df = float(squares.variance), float(squares.df)
    if noise:
        of_all, df = noise.of(len(seeds), len(classes), weight)
        variance = max(variance, of_all)
    return Estimate(
        float(grid.mean()), float(np.sqrt(variance)), df, len(seeds), len(classes), left_out
    )


def two_way_ratio(numerator: Array, denominator: Array) -> Estimate:
    """mean(numerator) / mean(denominator), with the error of both (delta method): that of the
    mean of (numerator - ratio denominator) / mean(denominator).

    Cells [seeds, classes] of both; a cell counts where both have it. For "distance closed" they
    are value - base and real - base."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    there = ~(np.isnan(numerator) | np.isnan(denominator))
    grid = np.ix_(*complete(there))
    above, below = numerator[grid], denominator[grid]
    base = below.mean() if below.size else 0.0
    if base == 0:
        reason = "the mean that it is divided by is 0" if below.size else "no cell has both"
        return Estimate(np.nan, np.nan, np.nan, below.shape[0], below.shape[1], reason=reason)
    ratio = above.mean() / base
    of_rest = two_way((above - ratio * below) / base)
    return replace(of_rest, mean=float(ratio), left_out=int(there.sum()) - below.size)


def complete(there: Array) -> tuple[Array, Array]:
    """Seeds and classes, as indices, between which no cell is missing: the line that lacks the
    largest part of its cells is dropped until none does."""
    seeds, classes = np.arange(there.shape[0]), np.arange(there.shape[1])
    while not there[np.ix_(seeds, classes)].all():
        lacks = ~there[np.ix_(seeds, classes)]
        of_seeds, of_classes = lacks.mean(axis=1), lacks.mean(axis=0)
        if of_seeds.max() >= of_classes.max():
            seeds = np.delete(seeds, of_seeds.argmax())
        else:
            classes = np.delete(classes, of_classes.argmax())
    if not (len(seeds) and len(classes)):
        return seeds[:0], classes[:0]
    return seeds, classes


def two_sided(mean: Array | float, stderr: Array | float, df: Array | float) -> Array:
    """P(|T| >= |mean| / stderr); 1 where mean is 0 or no error is known."""
    return np.minimum(1.0, 2 * _above(np.abs(mean), stderr, df))


def outside(mean: Array | float, stderr: Array | float, df: Array | float, margin: float) -> Array:
    """The p-value of "the truth is not inside ± margin": of the nearer of the two bounds."""
    return _above(margin - np.abs(mean), stderr, df)


def beyond(mean: Array | float, stderr: Array | float, df: Array | float, margin: float) -> Array:
    """The p-value of "the truth is inside ± margin", at the nearer bound: a mean as far from 0 or
    further, either way. With no margin it is `two_sided`."""
    near, far = (_above(np.abs(mean) + bound, stderr, df) for bound in (-margin, margin))
    return np.minimum(1.0, near + far)


def _above(distance: Array | float, stderr: Array | float, df: Array | float) -> Array:
    """P(T >= distance / stderr). Without noise a distance is sure; without an error nothing is."""
    distance, stderr, df = np.broadcast_arrays(distance, stderr, df)
    sure = np.where(distance > 0, 0.0, 1.0)
    t = np.divide(distance, stderr, out=np.zeros(distance.shape), where=stderr > 0)
    return np.where(stderr > 0, special.stdtr(df, -t), np.where(stderr == 0, sure, 1.0))
