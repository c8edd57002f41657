"""Differences between matched checkpoints: same seed, epoch and class, one setting that differs.

[pairs, seeds, epochs, classes], nan where a side is missing."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lycoris_bench.analysis.claims.contrasts import DIM, FACTOR, NAMES
from lycoris_bench.analysis.columns import SERIES
from lycoris_bench.analysis.comparing.mean_squares import Noise
from lycoris_bench.analysis.comparing.pairs import mean_of, study_noise

OWN = [*NAMES, "member", "algorithm", "lr", DIM, "alpha", "scale", FACTOR]


def between(
    grid: np.ndarray, series: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> np.ndarray:
    """`to` less `from` of each pair (from, to)."""
    place = {name: row for row, name in enumerate(series)}
    known = [(place[low], place[high]) for low, high in pairs]
    low, high = np.array(known, dtype="int64").reshape(-1, 2).T
    return grid[high] - grid[low]


def over_epochs(grid: np.ndarray, epochs: int) -> np.ndarray:
    """An epoch less the one before it: a pair is a series and a step of the first `epochs`."""
    steps = np.diff(grid[:, :, :epochs], axis=2)
    return np.moveaxis(steps, 2, 1).reshape(-1, grid.shape[1], 1, grid.shape[3])


def noise_of(grid: np.ndarray) -> Noise | None:
    """Of the differences of two series, in the mean over epochs; or where `grid` has steps of
    epochs, in the mean step."""
    return study_noise(mean_of(np.moveaxis(grid, 2, -1)))


def of_members(
    grid: np.ndarray, series: Sequence[str], table: pd.DataFrame
) -> Mapping[str, np.ndarray]:
    """Member of Table 1 -> its scores, a pair being a context: all settings that are not an
    algorithm's own. Only where every member of the run has a score.

    table: as of `contrasts.settings`."""
    table = table[table["importance"] & (table["member"] != "") & table[SERIES].isin(series)]
    place = {name: row for row, name in enumerate(series)}
    there = [bool((~np.isnan(grid[place[name]])).any()) for name in table[SERIES]]
    table = table[np.array(there, dtype=bool)]
    kept = [name for name in table if name not in OWN]
    contexts = [" ".join(map(str, row)) for row in table[kept].itertuples(index=False)]
    names, known = list(dict.fromkeys(table["member"])), list(dict.fromkeys(contexts))
    rows: dict[tuple[str, str], list[int]] = {}
    for name, member, context in zip(table[SERIES], table["member"], contexts, strict=True):
        rows.setdefault((member, context), []).append(place[name])
    members = np.full((len(names), len(known), *grid.shape[1:]), np.nan)
    for (member, context), alike in rows.items():
        mean = mean_of(np.moveaxis(grid[alike], 0, -1))
        members[names.index(member), known.index(context)] = mean
    members[:, np.isnan(members).any(axis=0)] = np.nan
    return dict(zip(names, members, strict=True))


def cells(differences: np.ndarray) -> np.ndarray:
    """[seeds, classes]: the mean over pairs and epochs."""
    pairs, seeds, epochs, classes = differences.shape
    lines = differences.transpose(1, 3, 0, 2).reshape(seeds, classes, pairs * epochs)
    return mean_of(lines)
