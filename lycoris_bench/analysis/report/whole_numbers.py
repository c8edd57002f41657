"""Numbers of the page as whole numbers of a unit, that are shown as the tables show them."""

import math

import numpy as np

SCORE = 1000  # what a score is a multiple of, in JSON
DIGITS = 5  # of the largest value of a block; tables show three


def unit(values: np.ndarray) -> float:
    """The power of ten in which the largest value has five digits.

    >>> unit(np.array([0.5, np.nan])), unit(np.array([123.4])), unit(np.array([0.0]))
    (1e-05, 0.01, 1.0)
    """
    largest = float(np.nanmax(np.abs(values)))
    return float(f"1e{math.floor(math.log10(largest)) + 1 - DIGITS}") if largest > 0 else 1.0


def thousandths(scores: np.ndarray) -> list[int | None]:
    """Of which the page shows hundredths, as the tables do: where a 5 would be rounded once more,
    the thousandth beside it on the side that the score is rounded to.

    >>> thousandths(np.array([0.2649, 0.2651, 0.2644, 0.125, np.nan]))
    [264, 266, 264, 124, None]
    """
    made = whole(scores * SCORE)
    for place, score in enumerate(scores.tolist()):
        if (n := made[place]) is not None and n % 10 == 5:
            made[place] = n + (1 if round(score, 2) * SCORE > n else -1)
    return made


def three_digits(values: np.ndarray, scale: float) -> list[int | None]:
    """In units of `scale`, of which the page shows three digits below 1,000: as for `thousandths`.

    >>> three_digits(np.array([0.229499, 0.229501, 0.2294, 0.635, 10350.0]), 1e-5)
    [22949, 22951, 22940, 63500, 1035000000]
    """
    made = whole(values / scale)
    for place, value in enumerate(values.tolist()):
        n = made[place] or 0
        last = 10 ** max(len(str(abs(n))) - 3, 0)
        if abs(value) < 1000 and last > 1 and abs(n) % last * 2 == last:
            made[place] = n + (1 if float(f"{value:.3g}") > n * scale else -1)
    return made


def whole(values: np.ndarray) -> list[int | None]:
    """Rounded to whole numbers; null where one is missing.

    >>> whole(np.array([1.4, np.nan, -2.6]))
    [1, None, -3]
    """
    return [None if np.isnan(value) else round(value) for value in values.tolist()]
