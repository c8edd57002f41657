"""When should training have stopped? What each further stretch of it still changes."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from lycoris_bench.analysis.aggregation import units
from lycoris_bench.analysis.columns import (
    OVERALL,
    SERIES,
    criteria_in,
    main_views,
    metrics_and_kinds,
    ordered,
)
from lycoris_bench.analysis.compare import ALPHA, MARGIN
from lycoris_bench.analysis.comparing.common import common
from lycoris_bench.analysis.comparing.many_tests import holm
from lycoris_bench.analysis.comparing.pairs import grids
from lycoris_bench.analysis.comparing.two_way import Estimate, two_way
from lycoris_bench.analysis.findings.judgement import seen_by

COLUMNS = [
    "category", "criterion", "metric", "prompt_type", "encoder", "before", "after", "change",
    "stderr", "low", "high", "p", "verdict", "configurations", "seeds", "classes",
]  # fmt: skip


def longer(scores: pd.DataFrame) -> pd.DataFrame | None:
    """Of ranked rows (`ranks.rank_scores`): for each category, criterion and two epochs that follow
    each other the mean change of the score, over configurations, of trainings that went on. None:
    there is but one epoch.

    The error is the two-way one, over seeds and classes, of the mean over configurations: it says
    how far other trainings of these configurations would be, not how far other configurations are.
    `verdict`: "rises" or "falls", beyond chance (Holm over a category's tests); "as before", inside
    ± MARGIN; or "undecided", as it is with one seed, which says nothing of training noise."""
    seen = main_views(scores)
    seen = seen[seen["epoch"].notna()]
    if seen["epoch"].nunique() < 2:
        return None
    cells = units(seen)
    rows = []
    for category in [OVERALL, *(n for n in ordered(cells["category"]) if n != OVERALL)]:
        for criterion in criteria_in(metrics_and_kinds(cells)):
            part = seen_by(cells, category, criterion)
            epochs = sorted(part["epoch"].unique())
            grid = grids(part, "score", {SERIES: part[SERIES].unique(), "epoch": epochs})
            for k, (before, after) in enumerate(pairwise(epochs)):
                count, change = _change(grid[:, k], grid[:, k + 1])
                rows.append({
                    "category": category, "criterion": criterion.key, "metric": criterion.metric,
                    "prompt_type": criterion.prompt_type, "encoder": part["encoder"].iloc[0],
                    "before": before, "after": after, "change": change.mean,
                    "stderr": change.stderr, "low": change.low, "high": change.high, "p": change.p,
                    "same": change.equivalent(MARGIN), "configurations": count,
                    "seeds": change.seeds, "classes": change.classes,
                })  # fmt: skip
    if not rows:  # no criterion of the findings was scored
        return None
    table = pd.DataFrame(rows)
    table["p"] = table.groupby("category", sort=False)["p"].transform(lambda p: holm(p.to_numpy()))
    table["verdict"] = [_verdict(row) for row in table.to_dict("records")]
    return table[COLUMNS]


def _change(before: np.ndarray, after: np.ndarray) -> tuple[int, Estimate]:
    """Of [configurations, seeds, classes] each: how many configurations have the same cells, and
    the mean change of those."""
    change = np.round(after - before, 12)  # a sum in another order is a tie
    there, seeds, classes = common(change)
    return len(there), two_way(change[np.ix_(there, seeds, classes)].mean(axis=0))


def _verdict(row: Mapping[Any, Any]) -> str:
    if row["seeds"] == 1:
        return "undecided"
    if row["p"] <= ALPHA:
        return "rises" if row["change"] > 0 else "falls"
    return "as before" if row["same"] else "undecided"
