"""Trigger leak: how much of a concept comes without being asked for, of what comes when it is.

    leak = (F(without trigger) - F_base(without trigger)) / (F(with trigger) - F_base(with trigger))

F is the fidelity on images of the same noise seeds, F_base the base model's on the same prompts and
seeds. 0: the adapter adds nothing of the concept unless it is asked for; 1: as much as if asked."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from lycoris_bench.analysis.aggregation import units
from lycoris_bench.analysis.columns import (
    GROUP,
    SERIES,
    UNASKED,
    at_last_epoch,
    main_views,
    trained,
)
from lycoris_bench.analysis.compare import ALPHA
from lycoris_bench.analysis.comparing.many_tests import holm
from lycoris_bench.analysis.comparing.pairs import grids
from lycoris_bench.analysis.comparing.two_way import Estimate, two_way, two_way_ratio
from lycoris_bench.study.records import BASE

FIDELITY, TRUTH = "image_similarity", "concept_shown"
ASKED = ("alter", "trigger", "train")  # what asks for it: the first that a study has
LOOK = ["metric", "category"]
ABOUT = [SERIES, "configuration", "strength", "epoch", "encoder"]
NOT_ADDED = "what it adds when it is asked for is not told from 0"


def leaks(metrics: pd.DataFrame) -> pd.DataFrame | None:
    """A row for each series, category and prompt type without the trigger, at the last epoch, by
    the main encoder and where it is known by the truth; None where a study has no such prompts.

    `leak` with `low` and `high` (two-way, over seeds and classes; both ends of the ratio count),
    nan with a `reason` where the denominator is not surely above 0; `unasked` and `asked`: what the
    adapter adds to the base model's value without and with the trigger; `against`: the prompts that
    ask; `p`: that `unasked` is 0, Holm over the series; `sure`: it is above, and so is the leak's
    interval."""
    seen = main_views(metrics)
    seen = seen[seen["metric"].isin([FIDELITY, TRUTH])]
    rows, kinds = at_last_epoch(trained(seen)), set(seen["prompt_type"].unique())
    against = next((kind for kind in ASKED if kind in kinds), None)
    if rows.empty or against is None or not kinds & set(UNASKED):
        return None
    base = seen[seen["configuration"] == BASE][[*GROUP, "value"]]
    both = rows.merge(base.rename(columns={"value": BASE}), on=GROUP)
    found = []
    for kind in [
        k for k in UNASKED if k in kinds
    ]:  # classes that share what does not ask for them are one unit in both
        cells = units(both[both["prompt_type"].isin([kind, against])], drawn_as=kind)
        cells["added"] = cells["value"] - cells[BASE]
        for look, part in cells.groupby(LOOK, sort=False):
            about = {**dict(zip(LOOK, look, strict=True)), "prompt_type": kind, "against": against}
            sides = (part[part["prompt_type"] == name] for name in (kind, against))
            found += [{**about, **row} for row in _rows(*sides)]
    return pd.DataFrame(found)


def _rows(without: pd.DataFrame, asked: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Of one metric, category and prompt type."""
    first = without.drop_duplicates(SERIES)[ABOUT].to_dict("records")
    both = pd.concat([without.assign(asked=False), asked.assign(asked=True)])
    names = [about[SERIES] for about in first]
    sides = grids(both, "added", {SERIES: names, "asked": (False, True)})
    sides[np.broadcast_to(np.isnan(sides).any(axis=1, keepdims=True), sides.shape)] = np.nan
    made = [
        _row(about, *ends)
        for about, ends in zip(first, sides, strict=True)
        if not np.isnan(ends).all()
    ]
    adjusted = holm(np.array([estimate.p for _, estimate in made]))
    for (known, unasked), p in zip(made, adjusted, strict=True):
        sure = unasked.mean > 0 and p <= ALPHA and known["low"] > 0
        yield {**known, "p": p, "sure": bool(sure)}


def _row(
    about: dict[Any, Any], above: np.ndarray, below: np.ndarray
) -> tuple[dict[str, Any], Estimate]:
    """Of one series: what it adds without and with the trigger, [seeds, classes] each."""
    unasked, asked = two_way(above), two_way(below)
    row = {
        **about,
        "unasked": unasked.mean, "asked": asked.mean,
        "seeds": unasked.seeds, "classes": unasked.classes,
    }  # fmt: skip
    if not (asked.mean > 0 and asked.p <= ALPHA):
        reason = asked.reason or NOT_ADDED
        return {**row, "leak": np.nan, "low": np.nan, "high": np.nan, "reason": reason}, unasked
    ratio = two_way_ratio(above, below)
    ends = {"leak": ratio.mean, "low": ratio.low, "high": ratio.high, "reason": ""}
    return {**row, **ends}, unasked
