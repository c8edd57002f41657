"""The scores of a table as arrays, one a view."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lycoris_bench.analysis.columns import SERIES

View = tuple[str, str]  # metric and prompt type


@dataclass(frozen=True)
class Grids:
    """Scores and values of each view, [series, seeds, epochs, classes], nan where one is missing.

    All views have the same axes. seeds: None, of adapters from elsewhere, is one of them.
    epochs: ascending; one that is none comes last and is not in `epochs`. categories: of each
    class; "" of a number of the whole checkpoint."""

    scores: Mapping[View, np.ndarray]
    values: Mapping[View, np.ndarray]
    series: Sequence[str]
    epochs: Sequence[int]
    categories: np.ndarray
    seeds: Sequence[int | None] = ()


def grids(scores: pd.DataFrame) -> Grids:
    """From ranked rows of the main views. A class is the mean over its sub-classes."""
    classes = scores.groupby(["category", "class"], sort=False)
    epochs = sorted(int(epoch) for epoch in scores["epoch"].dropna().unique())
    place = {epoch: k for k, epoch in enumerate(epochs)}
    metrics, of_metrics = _codes(scores["metric"])
    kinds, of_kinds = _codes(scores["prompt_type"])
    views, pairs = pd.factorize(metrics * len(of_kinds) + kinds)
    names = [(of_metrics[p // len(of_kinds)], of_kinds[p % len(of_kinds)]) for p in pairs]
    series, series_names = _codes(scores[SERIES])
    seeds, seed_names = _codes(scores["seed"])
    at_epoch = scores["epoch"].map(place).fillna(len(epochs)).to_numpy(dtype="int64")
    shape = (len(names), len(series_names), len(seed_names), len(epochs) + 1, classes.ngroups)
    cells = (views, series, seeds, at_epoch, classes.ngroup().to_numpy())
    flat = np.ravel_multi_index(cells, shape) if len(scores) else np.empty(0, dtype="int64")
    count = np.bincount(flat, minlength=int(np.prod(shape)))

    def means(column: str) -> dict[View, np.ndarray]:
        total = np.bincount(flat, scores[column].to_numpy(dtype="float64"), len(count))
        mean = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
        return dict(zip(names, mean.reshape(shape), strict=True))

    categories = scores.drop_duplicates(["category", "class"])["category"].to_numpy(dtype="object")
    return Grids(means("score"), means("value"), series_names, epochs, categories, seed_names)


def _codes(values: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """The place of each value among the distinct ones, in order of appearance; and those, None
    where it is none."""
    codes, known = pd.factorize(values, use_na_sentinel=False)
    return codes, [None if pd.isna(value) else value for value in known.tolist()]
