"""Copy rates of configurations, against those of real images that were not trained on."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from lycoris_bench.analysis.aggregation import units
from lycoris_bench.analysis.coded import texts
from lycoris_bench.analysis.columns import GROUP, OVERALL, SERIES, at_last_epoch, trained
from lycoris_bench.analysis.compare import ALPHA
from lycoris_bench.analysis.comparing.many_tests import holm
from lycoris_bench.analysis.comparing.pairs import grids
from lycoris_bench.analysis.comparing.two_way import Estimate, two_way
from lycoris_bench.study.records import REAL

RATE = "copy_rate"  # the metric
COPIES, NOT_SHOWN, NO_REAL = "copies", "not shown", "no real images"
LOOK = ["encoder", "resize", "category"]
NAMED = [SERIES, "configuration", "strength"]
CELL = [*NAMED, "epoch", "seed", *LOOK, "unit"]


def copies(metrics: pd.DataFrame) -> pd.DataFrame | None:
    """A row for each series, encoder, resizing and category at the last epoch, and under all
    categories one for each class; None where no copy rate was computed.

    `rate`: the mean over seeds, classes and prompt types; `real`: that of real images, in the same
    classes; `excess`, `low`, `high`: rate - real with its two-way interval, over seeds and classes;
    `p`: that it is 0, Holm over the series; `verdict`: COPIES where it is surely above 0, else
    NOT_SHOWN, or NO_REAL. A row of a single class (`unit`) has rates alone.

    The error that the rule keeps: a configuration whose images are distributed as held-out real
    ones is called a copy in at most 2.5 of 100 studies, whatever the number of training images, as
    both sides meet the same threshold."""
    seen = texts(metrics[metrics["metric"] == RATE])
    rows = at_last_epoch(trained(seen))
    if rows.empty:
        return None
    real = seen[seen["configuration"] == REAL][[*GROUP, "value"]]
    cells = units(rows.merge(real.rename(columns={"value": REAL}), on=GROUP, how="left"))
    cells = cells.groupby(CELL, sort=False, dropna=False)[["value", REAL]].mean().reset_index()
    return pd.DataFrame([row for _, look in cells.groupby(LOOK, sort=False) for row in _rows(look)])


def _rows(look: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Of the cells of one encoder, resizing and category."""
    parts = [part for _, part in look.groupby(SERIES, sort=False)]
    estimates = [_excess(part) for part in parts]
    adjusted = holm(np.array([estimate.p for estimate in estimates]))
    for part, excess, p in zip(parts, estimates, adjusted, strict=True):
        about = {name: part[name].iloc[0] for name in [*NAMED, "epoch", *LOOK]}
        known = part[REAL].notna().any()
        sure = excess.mean > 0 and p <= ALPHA
        yield {
            **about, "unit": "", "rate": part["value"].mean(), "real": part[REAL].mean(),
            "excess": excess.mean, "low": excess.low, "high": excess.high, "p": p,
            "seeds": excess.seeds, "classes": excess.classes,
            "verdict": NO_REAL if not known else COPIES if sure else NOT_SHOWN,
        }  # fmt: skip
        of_classes = part.groupby("unit", sort=False) if about["category"] == OVERALL else ()
        for unit, own in of_classes:
            yield {**about, "unit": unit, "rate": own["value"].mean(), "real": own[REAL].mean(),
                   "verdict": ""}  # fmt: skip


def _excess(part: pd.DataFrame) -> Estimate:
    return two_way(grids(part.assign(excess=part["value"] - part[REAL]), "excess", {}))
