"""Which configuration is best at what, per category and over all. There is no total score:
the criteria conflict, and how to weigh them is the reader's business (design, rule 8)."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from lycoris_bench.analysis.aggregation import units
from lycoris_bench.analysis.columns import (
    CEILING,
    GROUP,
    OVERALL,
    SERIES,
    at_last_epoch,
    criteria_in,
    explained_beside,
    main_views,
    metrics_and_kinds,
    ordered,
)
from lycoris_bench.analysis.comparing.common import common
from lycoris_bench.analysis.comparing.front import on_front
from lycoris_bench.analysis.comparing.pairs import grids
from lycoris_bench.analysis.findings import sentences
from lycoris_bench.analysis.findings.judgement import Finding, Views, compared, judged
from lycoris_bench.analysis.ranks import positions, scored
from lycoris_bench.study.records import BASE, REAL

TRADE_OFF = ("fidelity", "control")


def findings(
    metrics: pd.DataFrame, heldout: bool | None = None, expected: Iterable[str] = ()
) -> Finding:
    """A plain dict: `epoch`, `ceiling`, then per category (OVERALL first) and criterion what
    `judged` says of the configurations at the last epoch, `also` (the same of what the paper
    explains besides), `front`, and `sentences`. What is absent has no key.

    heldout: whether the real images were held out, or are half of the training images. expected:
    configurations that were to be compared: `absent` are those without a score at the last
    epoch."""
    seen = main_views(metrics)
    rows = scored(seen)
    result: Finding = {}
    if pd.notna(last := rows["epoch"].max()):
        result["epoch"] = int(last)
    if (metrics["configuration"] == REAL).any():
        name, like = CEILING[heldout]
        result["ceiling"] = {"name": name, "like": like, "halves": heldout is False}
    at_last = at_last_epoch(rows)
    named = ordered([*rows["configuration"].unique(), *expected])
    there = {*at_last["configuration"].unique()}
    if there and (absent := [name for name in named if name not in there]):
        result["absent"] = absent
    floored = _with_value_of(at_last, seen, BASE)
    views = Views(
        units(at_last), units(positions(seen)), units(floored),
        units(_with_value_of(floored, seen, REAL)),
    )  # fmt: skip
    result["categories"] = {
        category: _category(views, category)
        for category in [OVERALL, *filter(None, ordered(rows["category"]))]
    }
    for found in result["categories"].values():
        found["sentences"] = sentences.of_category(found, result.get("ceiling"))
    result["sentences"] = sentences.overall(result, checkpoints=len(rows) > 0)
    return result


def _category(views: Views, category: str) -> Finding:
    there = metrics_and_kinds(views.cells)
    criteria = criteria_in(there)
    parts = {c: views.of(category, c.metric, c.prompt_type) for c in criteria}
    scored_ones = {criterion: part for criterion, part in parts.items() if len(part.cells)}
    result = {criterion.key: judged(criterion, part) for criterion, part in scored_ones.items()}
    beside = {pair: views.of(category, *pair) for pair in explained_beside(criteria, there)}
    also = [compared(*pair, part) for pair, part in beside.items() if len(part.cells)]
    return (
        result
        | ({"also": also} if also else {})
        | front({c.key: part.cells for c, part in scored_ones.items()})
    )


def front(cells: Mapping[str, pd.DataFrame]) -> Finding:
    """`front`: how likely each configuration is on the Pareto front of fidelity and control, as
    seeds and classes might have been drawn; no key where fewer than two have both."""
    if not set(TRADE_OFF) <= set(cells):
        return {}
    sides = [rows[rows["score"].notna()] for rows in (cells[key] for key in TRADE_OFF)]
    first, second = (side[SERIES].unique() for side in sides)
    names = np.array([name for name in first if name in {*second}], dtype=object)
    if len(names) < 2:
        return {}
    cells_of_both = pd.concat(sides, keys=range(2), names=["side"]).reset_index("side")
    both = grids(cells_of_both, "score", {"side": range(2), SERIES: names})
    rows, seeds, classes = common(both.sum(axis=0))  # nan where either is missing
    if len(rows) < 2 or not len(classes):
        return {}
    shares = on_front([side[np.ix_(rows, seeds, classes)] for side in both])
    known = {n: float(s) for n, s in zip(names[rows], shares, strict=True) if not np.isnan(s)}
    return {"front": known} if known else {}


def _with_value_of(rows: pd.DataFrame, metrics: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of concepts that `name` (base or real) has a value of, with a column of it."""
    side = metrics[metrics["configuration"] == name]
    return rows.merge(side[[*GROUP, "value"]].rename(columns={"value": name}), on=GROUP)
