"""Differences between matched rows: same seed, epoch and class, and one setting that differs."""

from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

ROW = ["seed", "epoch", "category", "unit"]  # what both sides of a pair have in common


def between(cells: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """score and value of `to` less those of `from`, one row per pair, seed, epoch and class.

    cells: configuration, seed, epoch, category, unit, score, value of one view."""
    sides = pd.DataFrame(pairs, columns=["from", "to"])
    table = cells[["configuration", *ROW, "score", "value"]]
    low = sides.merge(table.rename(columns={"configuration": "from"}), on="from")
    high = table.rename(columns={"configuration": "to"})
    return _difference(low.merge(high, on=["to", *ROW], suffixes=("_from", "_to")))


def over_epochs(cells: pd.DataFrame) -> pd.DataFrame:
    """The same between an epoch and the next one, of each configuration and seed."""
    following = dict(pairwise(sorted(set(cells["epoch"]))))
    table = cells[["configuration", *ROW, "score", "value"]]
    low = table.assign(epoch=table["epoch"].map(following)).dropna(subset="epoch")
    return _difference(low.merge(table, on=["configuration", *ROW], suffixes=("_from", "_to")))


def _difference(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[["seed", "category", "unit"]].assign(
        score=rows["score_to"] - rows["score_from"], value=rows["value_to"] - rows["value_from"]
    )
