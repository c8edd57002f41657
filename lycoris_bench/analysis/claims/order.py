"""Does an order of algorithms agree with Table 1? Kendall's tau, and how sure it is."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lycoris_bench.analysis.claims.interval import grid, resampled
from lycoris_bench.analysis.claims.settings import DIM, FACTOR, settings

OWN = ["configuration", "importance", "member", "algorithm", "lr", DIM, "alpha", "scale", FACTOR]


def contexts(cells: pd.DataFrame, factors: pd.DataFrame) -> pd.DataFrame:
    """One row per seed, class and context (all other settings, and the epoch), one column per
    member of Table 1: its score. Only contexts in which all members of the run were trained."""
    table = settings(factors)
    table = table[table["importance"] & (table["member"] != "")]
    kept = [name for name in table if name not in OWN]
    names = [" ".join(map(str, row)) for row in table[kept].itertuples(index=False)]
    table = table.assign(context=names)
    rows = cells.merge(table[["configuration", "member", "context"]], on="configuration")
    keys = ["category", "unit", "seed", "epoch", "context"]
    return rows.pivot_table(index=keys, columns="member", values="score").dropna().reset_index()


def agreement(rows: pd.DataFrame, ranks: Mapping[str, int]) -> tuple[float, float, float]:
    """(tau, lower, upper): Kendall's tau of the members' mean scores and their ranks.

    rows: as of `contexts`. 1: the same order, -1: reversed. The interval resamples seeds and
    classes, for all members alike."""
    names = [name for name in ranks if name in rows]
    means = [resampled(grid(rows, name)) for name in names]
    there = [np.array([np.nanmean(grid(rows, name))]) for name in names]
    expected = [ranks[name] for name in names]
    low, high = np.quantile(tau(means, expected), [0.025, 0.975])
    return float(tau(there, expected)[0]), float(low), float(high)


def tau(means: list[np.ndarray], expected: list[int]) -> np.ndarray:
    """Pairs in the same order less pairs in the other, over the number of pairs; per draw."""
    signs = [
        np.sign(means[i] - means[j]) * np.sign(expected[i] - expected[j])
        for i in range(len(means))
        for j in range(i)
    ]
    return np.mean(signs, axis=0)
