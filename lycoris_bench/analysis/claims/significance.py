"""How likely is a claim's effect by chance? By its two-way error, with the sides of the pairs as
they are and exchanged at random."""

from dataclasses import dataclass

import numpy as np

from lycoris_bench.analysis.claims.claims import LESS, LITTLE
from lycoris_bench.analysis.comparing.many_tests import holm
from lycoris_bench.analysis.comparing.mean_squares import mean_squares
from lycoris_bench.analysis.comparing.two_way import beyond, outside, two_sided

SMALL = 0.1  # an effect that is "little": less than a tenth of the way from the worst to the best
SEED = 0


@dataclass(frozen=True)
class ClaimTest:
    """p-values of a claim, [1 + draws]: the first with the sides of its pairs as they are.

    agrees: whether a verdict would be that it holds. change: whether it would say that the
    setting does something, which is false where sides were exchanged."""

    p: np.ndarray
    agrees: np.ndarray
    change: np.ndarray


def signs(draws: int, classes: int) -> np.ndarray:
    """[1 + draws, classes]: 1, and -1 where the two sides of every pair are exchanged.

    All seeds and all claims of a class together, so that what depends on each other still does."""
    random = np.random.default_rng(SEED)
    return np.vstack([np.ones(classes), random.choice((-1.0, 1.0), (draws, classes))])


@dataclass(frozen=True)
class Least:
    """The variance that a mean has at least, and its degrees of freedom: what all pairs of a study
    show. Three seeds alone say little of how much seeds differ, and where they happen to agree an
    effect would look surer than it is."""

    variance: float = 0.0
    df: float = 1.0


def of_claim(
    cells: np.ndarray, signs: np.ndarray, expected: str, least: Least = Least()
) -> ClaimTest:
    """The change goes up or down: two-sided. It is little: two one-sided tests against ± SMALL
    (Schuirmann 1987), or beyond it; the smaller p counts.

    cells: [seeds, classes], complete; signs: [1 + draws, classes]."""
    mean, stderr, df = estimates(cells, signs, least)
    if expected == LITTLE:
        inside, past = (p(mean, stderr, df, SMALL) for p in (outside, beyond))
        return ClaimTest(np.minimum(inside, past), inside < past, inside >= past)
    agrees = mean < 0 if expected == LESS else mean > 0
    return ClaimTest(two_sided(mean, stderr, df), agrees, np.ones_like(agrees))


def of_order(
    pairs: np.ndarray, signs: np.ndarray, least: Least = Least()
) -> tuple[ClaimTest, np.ndarray]:
    """The order, and the p-value of each of its pairs (Holm): an order holds if all of its pairs
    go the stated way and each is significant; it does not if one is that goes the other way.

    pairs: [pairs, seeds, classes], complete: the member that is said to be better less the
    other."""
    mean, stderr, df = np.stack([estimates(cells, signs, least) for cells in pairs], axis=1)
    p = np.apply_along_axis(holm, 0, two_sided(mean, stderr, df))
    stated = mean > 0
    agrees = stated.all(axis=0)
    contradicted = np.where(stated, 1.0, p).min(axis=0)
    test = ClaimTest(np.where(agrees, p.max(axis=0), contradicted), agrees, np.ones_like(agrees))
    return test, p[:, 0]


def estimates(cells: np.ndarray, signs: np.ndarray, least: Least = Least()) -> np.ndarray:
    """mean, stderr and df, [3, 1 + draws]: the two-way error, and not less than the least."""
    dealt = cells * signs[:, None]
    squares = mean_squares(dealt)
    small = squares.variance < least.variance
    variance = np.where(small, least.variance, squares.variance)
    df = np.where(small, least.df, squares.df)
    return np.stack([dealt.mean(axis=(1, 2)), np.sqrt(variance), df])
