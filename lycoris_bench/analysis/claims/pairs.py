"""Differences between matched rows: same seed, epoch and class, and one setting that differs."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from lycoris_bench.analysis.claims.contrasts import DIM, FACTOR, NAMES
from lycoris_bench.analysis.claims.interval import grids, resampled
from lycoris_bench.analysis.columns import SERIES

ROW = ["seed", "epoch", "category", "unit"]  # what both sides of a pair have in common


def between(cells: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """score and value of `to` less those of `from`, one row per pair, seed, epoch and class.

    cells: series, seed, epoch, category, unit, score, value of one view."""
    if not pairs:  # most contrasts of a small study: nothing to match
        return cells.loc[[], ["seed", "category", "unit", "score", "value"]]
    sides = pd.DataFrame(pairs, columns=["from", "to"])
    table = cells[[SERIES, *ROW, "score", "value"]]
    low = sides.merge(table.rename(columns={SERIES: "from"}), on="from")
    high = table.rename(columns={SERIES: "to"})
    return _difference(low.merge(high, on=["to", *ROW], suffixes=("_from", "_to")))


def over_epochs(cells: pd.DataFrame) -> pd.DataFrame:
    """The same between an epoch and the next one, of each series and seed."""
    following = dict(pairwise(sorted(set(cells["epoch"].dropna()))))
    table = cells[[SERIES, *ROW, "score", "value"]]
    low = table.assign(epoch=table["epoch"].map(following)).dropna(subset="epoch")
    low = low.astype({"epoch": table["epoch"].dtype})
    return _difference(low.merge(table, on=[SERIES, *ROW], suffixes=("_from", "_to")))


def _difference(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[["seed", "category", "unit"]].assign(
        score=rows["score_to"] - rows["score_from"], value=rows["value_to"] - rows["value_from"]
    )


OWN = [*NAMES, "member", "algorithm", "lr", DIM, "alpha", "scale", FACTOR]


def contexts(cells: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """One row per seed, class and context (all other settings, and the epoch), one column per
    member of Table 1: its score. Only contexts in which all members of the run were trained.

    table: as of `settings`."""
    table = table[table["importance"] & (table["member"] != "")]
    kept = [name for name in table if name not in OWN]
    names = [" ".join(map(str, row)) for row in table[kept].itertuples(index=False)]
    table = table.assign(context=names)
    rows = cells.merge(table[[SERIES, "member", "context"]], on=SERIES)
    keys = ["category", "unit", "seed", "epoch", "context"]
    means = rows.groupby([*keys, "member"], dropna=False)["score"].mean()
    return means.unstack("member").dropna().reset_index()


def agreement(rows: pd.DataFrame, ranks: Mapping[str, int]) -> tuple[float, float, float]:
    """(tau, lower, upper): Kendall's tau of the members' mean scores and their ranks.

    rows: as of `contexts`. 1: the same order, -1: reversed. The interval resamples seeds and
    classes, for all members alike."""
    names = [name for name in ranks if name in rows]
    cells = grids(rows, names)
    means = [resampled(member) for member in cells]
    there = [np.array([np.nanmean(member)]) for member in cells]
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
