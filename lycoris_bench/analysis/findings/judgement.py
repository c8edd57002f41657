"""One criterion in one category: the ranking, who differs from the winner, and how far all are
from the base model and from real images."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from lycoris_bench.analysis.columns import SERIES, Criterion
from lycoris_bench.analysis.compare import ALPHA, Comparison, compare
from lycoris_bench.analysis.comparing.common import common
from lycoris_bench.analysis.comparing.many_tests import holm
from lycoris_bench.analysis.comparing.pairs import grids
from lycoris_bench.analysis.comparing.two_way import Estimate, two_way, two_way_ratio
from lycoris_bench.analysis.comparing.winner import unselected_score
from lycoris_bench.messages.numbers import number
from lycoris_bench.study.records import BASE, REAL

Finding = dict[str, Any]


@dataclass(frozen=True)
class Views:
    """Tables of cells (`aggregation.units`), of all criteria or of one.

    cells: scores of checkpoints at the last epoch; references: base and real images; floored: cells
    that have a value of the base model too; closed: those that have one of real images too."""

    cells: pd.DataFrame
    references: pd.DataFrame
    floored: pd.DataFrame
    closed: pd.DataFrame

    def of(self, category: str, metric: str, prompt_type: str) -> "Views":
        """The rows of one category and criterion."""
        asked = category, metric, prompt_type
        frames = (getattr(self, field.name) for field in fields(self))
        pairs = zip(frames, self._places, strict=True)
        return Views(*(frame.iloc[places.get(asked, [])] for frame, places in pairs))

    @cached_property
    def _places(self) -> list[dict[Any, Any]]:
        """Where the rows of each category, metric and prompt type stand, in each table."""
        keys = ["category", "metric", "prompt_type"]
        tables = (getattr(self, field.name) for field in fields(self))
        return [table.groupby(keys, sort=False, observed=True).indices for table in tables]


def judged(criterion: Criterion, views: Views) -> Finding:
    """What `compared` says; of fidelity also `against_base` and `distance_closed`."""
    result = compared(criterion.metric, criterion.prompt_type, views)
    if criterion.key == "fidelity":
        result["against_base"] = against_base(views.floored)
        result["distance_closed"] = distance_closed(views.closed)
    return result


def compared(metric: str, prompt_type: str, views: Views) -> Finding:
    """`ranking`: the configurations that have the same cells, best first; `unranked`: those that
    lack some; where two are ranked what `told_apart` says; `base` and `real`."""
    cells, (scored, scores) = views.cells, scores_of(views.cells)
    values = cells.groupby(SERIES, sort=False)["value"].mean()
    result: Finding = {
        "metric": metric,
        "prompt_type": prompt_type,
        "better": cells["better"].iloc[0],
        "encoder": cells["encoder"].iloc[0],
        "resize": cells["resize"].iloc[0],
        "ranking": [],
        **(_ranked(scored, scores) if len(scored) else {}),
    }
    alone = [name for name in values.index if name not in scored]
    result["ranking"] += [{"configuration": name} for name in alone]
    for row in [*result["ranking"], *result.get("unranked", [])]:
        row["value"] = float(values[row["configuration"]])
    for name in (BASE, REAL):
        rows = views.references[views.references["configuration"] == name]
        if len(rows):
            result[name] = {
                key: float(rows[key].mean())
                for key in ("value", "position")
                if rows[key].notna().any()
            }
    return result


def scores_of(cells: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The configurations that have a score, and their scores [configurations, seeds, classes]."""
    return by_series(cells[cells["score"].notna()], "score")


def _ranked(names: np.ndarray, all_cells: np.ndarray) -> Finding:
    kept, seeds, classes = common(all_cells)
    if len(kept) < 2 <= len(names):  # no two share anything
        return {"ranking": [{"configuration": name} for name in names]}
    lacking = [
        {
            "configuration": name,
            "score": float(np.nanmean(grid)),
            "n": int((~np.isnan(grid)).sum()),
        }
        for k, (name, grid) in enumerate(zip(names, all_cells, strict=True))
        if k not in kept
    ]
    cells, there = all_cells[np.ix_(kept, seeds, classes)], names[kept]
    estimates = [two_way(grid) for grid in cells]
    order = sorted(range(len(there)), key=lambda k: (-estimates[k].mean, there[k]))
    cells, there = cells[order], there[order]
    result: Finding = {
        "ranking": [
            {"configuration": name, **_number("score", estimates[k])}
            for name, k in zip(there, order, strict=True)
        ]
    }
    if len(there) > 1:
        comparison = compare(cells)
        for row, verdict in zip(result["ranking"], told_apart(comparison), strict=True):
            row |= verdict
        result["best"] = there[0]
        result["seeds"] = int(np.nanmax(comparison.seeds))
        result["classes"], result["of_classes"] = len(classes), all_cells.shape[2]
        corrected = unselected_score(cells)
        if not np.isnan(corrected):
            result["corrected"] = corrected
    if lacking:
        result["unranked"] = lacking
    return result


def told_apart(comparison: Comparison) -> list[Finding]:
    """Of each configuration, the winner first: `rank`, from and to; of all but the winner
    `verdict`, against it, and `few`: too little is shared for any error."""
    ranks = comparison.rank_intervals
    rows: list[Finding] = [{"rank": [int(best), int(worst)]} for best, worst in ranks]
    for k, row in enumerate(rows[1:], start=1):
        row["verdict"] = comparison.verdict(0, k)
        if np.isnan(comparison.stderr[0, k]):
            row["few"] = True
    return rows


def against_base(cells: pd.DataFrame) -> dict[str, Finding]:
    """value and base per configuration, over the cells that have both; `verdict`: "worse", further
    from the training images than the base model, by a two-way t-test, Holm over the configurations;
    "closer", by a t-test of its own, as training is meant to do that; or "undecided". What three
    digits do not show is no difference."""
    ahead = _sign(cells) * (cells["value"] - cells[BASE])
    names, grid = by_series(cells.assign(ahead=ahead), "ahead")
    means = cells.groupby(SERIES, sort=False)[["value", BASE]].mean()
    result: dict[str, Finding] = {
        name: {"value": float(value), "base": float(base)}
        for name, value, base in means.itertuples()
    }
    estimates = [two_way(own) for own in grid]
    adjusted = holm(np.array([estimate.p for estimate in estimates]))
    for name, estimate, p in zip(names, estimates, adjusted, strict=True):
        word, sure = ("closer", estimate.p) if estimate.mean > 0 else ("worse", p)
        same = number(result[name]["value"]) == number(result[name]["base"])
        result[name]["verdict"] = word if sure <= ALPHA and not same else "undecided"
    return result


def distance_closed(cells: pd.DataFrame) -> dict[str, Finding]:
    """(value - base) / (real - base) per configuration: 0 at the floor, 1 at the ceiling.

    cells: value, base and real of each cell that has all three. The share is a ratio of means, its
    error that of both. Absent where the ceiling is not above the floor."""
    way, height = cells["value"] - cells[BASE], cells[REAL] - cells[BASE]
    cells, sign = cells.assign(way=way, height=height), _sign(cells)
    (names, ways), (_, heights) = (by_series(cells, column) for column in ("way", "height"))
    return {
        name: _number("share", two_way_ratio(way, height))
        for name, way, height in zip(names, ways, heights, strict=True)
        if sign * np.nanmean(height) > 0
    }


def _number(name: str, estimate: Estimate) -> Finding:
    """Mean, n and, where it exists, standard error."""
    finding = {name: estimate.mean, "n": estimate.seeds * estimate.classes}
    known = not np.isnan(estimate.stderr)
    return {**finding, "stderr": estimate.stderr, "low": estimate.low} if known else finding


def by_series(cells: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """The configurations, and a column's numbers as [configurations, seeds, classes]."""
    names = cells[SERIES].unique()
    return np.array(names, dtype=object), grids(cells, column, {SERIES: names})


def _sign(cells: pd.DataFrame) -> int:
    """1 where more is better by the metric of the cells, else -1."""
    return 1 if (cells["better"] == "higher").all() else -1


def seen_by(cells: pd.DataFrame, category: str, criterion: Criterion) -> pd.DataFrame:
    """The cells of a category whose metric and prompts are the criterion's."""
    return cells[
        (cells["category"] == category)
        & (cells["metric"] == criterion.metric)
        & (cells["prompt_type"] == criterion.prompt_type)
    ]
