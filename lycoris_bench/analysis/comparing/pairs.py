"""Paired differences of configurations: cell by cell, so that what makes a class hard or a seed
lucky for both cancels."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lycoris_bench.analysis.comparing.mean_squares import (
    Components,
    MeanSquares,
    Noise,
    mean_squares,
)
from lycoris_bench.analysis.comparing.two_way import complete


def grids(
    cells: pd.DataFrame, column: str, names: Mapping[str, Sequence[Any] | np.ndarray]
) -> np.ndarray:
    """The numbers of a column of cells (`aggregation.units`): [*names, seeds, classes], nan where
    one is missing. No seed, as adapters from elsewhere have, is a row of its own.

    names: of each of these columns the values that an axis has; cells of others are left out."""
    codes = [pd.Index(known).get_indexer(pd.Index(cells[key])) for key, known in names.items()]
    there = np.all([np.ones(len(cells)), *(code >= 0 for code in codes)], axis=0)
    cells = cells[there]
    seeds, classes = (pd.factorize(cells[n], use_na_sentinel=False) for n in ("seed", "unit"))
    shape = (*map(len, names.values()), len(seeds[1]), len(classes[1]))
    made = np.full(shape, np.nan)
    at = (*(code[there] for code in codes), seeds[0], classes[0])
    made[at] = cells[column].to_numpy(dtype="float64", na_value=np.nan)
    return made


def paired(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """first - second of grids [..., seeds, classes]. Where no cell has both, as they share no
    seed: of the means over seeds, in the first row."""
    difference = np.round(first - second, 12)  # a sum in another order is a tie
    apart = np.isnan(difference).all(axis=(-1, -2))
    if apart.any():
        of_first, of_second = (
            mean_of(np.swapaxes(side[apart], -1, -2)) for side in (first, second)
        )
        difference[apart, 0] = of_first - of_second
    return difference


def pair_estimates(scores: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """mean, stderr, df and seeds of the differences of pairs: [4, pairs]; nan where there is none.

    The variance of a pair is the larger of its own and that of the mean components of all pairs.
    Its degrees of freedom are those of the mean: of one pair, times the pairs that a configuration
    is in on average; with all K (K - 1) / 2 pairs, K - 1."""
    mean, squares = _squares(paired(scores[first], scores[second]))
    seeds, classes = np.asarray(squares.seeds), np.asarray(squares.classes)
    stderr, df = np.full((2, len(mean)), np.nan)
    for several, many in ((True, True), (False, True), (True, False)):
        alike = (classes > 0) & ((seeds > 1) == several) & ((classes > 1) == many)
        if alike.any():
            own = MeanSquares(
                squares.a[alike], squares.b[alike], squares.e[alike], seeds[alike], classes[alike]
            )
            shared = own.components.mean().mean_squares(seeds[alike], classes[alike])
            pairs_of_one = 2 * alike.sum() / len(np.union1d(first[alike], second[alike]))
            stderr[alike] = np.sqrt(np.maximum(own.variance, shared.variance))
            df[alike] = shared.df * pairs_of_one
    return np.stack([mean, stderr, df, seeds])


def mean_components(scores: np.ndarray) -> Components:
    """Of the paired differences of all configurations [configurations, seeds, classes]: what a
    study like this one has to expect (`power.py`). Each at least 0. nan: no two share two cells."""
    first, second = np.triu_indices(len(scores), 1)
    _, squares = _squares(paired(scores[first], scores[second]))
    parts = squares.components
    full = (np.asarray(squares.seeds) > 1) & (np.asarray(squares.classes) > 1)
    some = full if full.any() else np.asarray(squares.seeds) * np.asarray(squares.classes) > 1
    if not some.any():
        return Components(np.nan, np.nan, np.nan)
    chosen = (np.asarray(part)[some] for part in (parts.of_seeds, parts.of_classes, parts.residual))
    return Components(*(max(0.0, float(part.mean())) for part in chosen))


def study_noise(scores: np.ndarray) -> Noise | None:
    """Of all configurations [configurations, seeds, classes], for `two_way`; None where they share
    too little."""
    components = mean_components(scores)
    return None if np.isnan(components.residual) else Noise(components, len(scores) - 1)


def weight_of(pairs: Sequence[tuple[str, str]]) -> float:
    """How noisy the mean of differences from one name to another is, against a single one: half the
    sum of the squared weights of the names.

    >>> weight_of([("a", "b"), ("c", "d")]), weight_of([("a", "b"), ("b", "c")])
    (0.5, 0.25)
    """
    weights: dict[str, float] = defaultdict(float)
    for first, second in pairs:
        weights[first] -= 1 / len(pairs)
        weights[second] += 1 / len(pairs)
    return sum(weight**2 for weight in weights.values()) / 2


def blocks_of(scores: np.ndarray) -> np.ndarray:
    """[configurations, blocks], for the range test: the mean over seeds in each class; where there
    are more seeds than classes, the mean over classes in each seed."""
    return mean_of(np.swapaxes(scores, 1, 2) if scores.shape[1] <= scores.shape[2] else scores)


def mean_of(values: np.ndarray) -> np.ndarray:
    """Over the last axis, of what is there; nan where nothing is."""
    there = ~np.isnan(values)
    totals, counts = np.where(there, values, 0.0).sum(axis=-1), there.sum(axis=-1)
    return np.divide(totals, counts, out=np.full(totals.shape, np.nan), where=counts > 0)


def _squares(cells: np.ndarray) -> tuple[np.ndarray, MeanSquares]:
    """Mean and mean squares of each pair [pairs, seeds, classes], over its largest complete grid;
    pairs that lack the same cells at once."""
    mean = np.full(len(cells), np.nan)
    a, b, e = np.zeros((3, len(cells)))
    seeds, classes = np.zeros((2, len(cells)), dtype="int64")
    there = ~np.isnan(cells)
    bits = np.packbits(there.reshape(len(cells), cells.shape[1] * cells.shape[2]), axis=1)
    kinds, patterns = pd.factorize(pd.Series([row.tobytes() for row in bits], dtype=object))
    for kind in range(len(patterns)):
        pairs = np.flatnonzero(kinds == kind)
        rows, columns = complete(there[pairs[0]])
        if len(rows):
            grid = cells[np.ix_(pairs, rows, columns)]
            squares = mean_squares(grid)
            mean[pairs] = grid.mean(axis=(1, 2))
            a[pairs], b[pairs], e[pairs] = squares.a, squares.b, squares.e
            seeds[pairs], classes[pairs] = grid.shape[1:]
    return mean, MeanSquares(a, b, e, seeds, classes)


def errors(cells: np.ndarray) -> np.ndarray:
    """Two-way standard errors of the means of grids [n, seeds, classes]; nan of a single cell."""
    _, squares = _squares(cells)
    stderr = np.full(len(cells), np.nan)
    n = np.asarray(squares.seeds) * np.asarray(squares.classes)
    stderr[n > 1] = np.sqrt(squares.total[n > 1] / n[n > 1])
    return stderr
