"""Which configuration is best at what, per category and over all. There is no total score:
the criteria conflict, and how to weigh them is the reader's business (design, rule 8)."""

from typing import Any

import pandas as pd

from lycoris_bench.analysis import sentences
from lycoris_bench.analysis.aggregation import units
from lycoris_bench.analysis.columns import (
    CRITERIA,
    GROUP,
    OVERALL,
    Criterion,
    main_views,
    ordered,
    trained,
)
from lycoris_bench.analysis.noise import resolved
from lycoris_bench.analysis.ranks import positions, rank_scores
from lycoris_bench.vocabulary import BASE, REAL

CELL = ["seed", "unit"]
Finding = dict[str, Any]


def findings(metrics: pd.DataFrame) -> Finding:
    """A plain dict: `epoch`, then per category (OVERALL first) and criterion the ranking of the
    configurations at the last epoch, the best, whether it is a tie, floor and ceiling; and
    `sentences`. What is absent has no key."""
    seen = main_views(metrics)
    cells = units(rank_scores(seen))
    last = int(cells["epoch"].max()) if len(cells) else 0
    beside = units(positions(seen))
    closed = units(_paired(seen, last))
    categories: dict[str, Finding] = {}
    for category in [OVERALL, *ordered(filter(None, trained(seen)["category"]))]:
        found: Finding = {}
        for criterion in CRITERIA:
            part = _of(cells[cells["epoch"] == last], category, criterion)
            if len(part):
                found[criterion.key] = judged(
                    criterion,
                    part,
                    _of(beside, category, criterion),
                    _of(closed, category, criterion),
                )
        categories[category] = found
    result: Finding = {"epoch": last, "categories": categories}
    for found in categories.values():
        found["sentences"] = sentences.of_category(found)
    result["sentences"] = sentences.overall(result)
    return result


def judged(
    criterion: Criterion, cells: pd.DataFrame, beside: pd.DataFrame, closed: pd.DataFrame
) -> Finding:
    """One criterion in one category: the ranking, the best and what cannot be told from it."""
    scores = {name: part.set_index(CELL)["score"] for name, part in _configurations(cells)}
    values = {name: part["value"].mean() for name, part in _configurations(cells)}
    order = sorted(scores, key=lambda name: (-scores[name].mean(), name))
    best = order[0]
    verdicts = {name: resolved(scores[best], scores[name]) for name in order[1:]}
    tied = [name for name in order[1:] if not verdicts[name]]
    result: Finding = {
        "metric": criterion.metric,
        "prompt_type": criterion.prompt_type,
        "better": cells["better"].iloc[0],
        "encoder": cells["encoder"].iloc[0],
        "resize": cells["resize"].iloc[0],
        "best": best,
        "tie": bool(order[1:] and not verdicts[order[1]]),
        "tied_with": tied,
        "ranking": [
            {"configuration": name, **_number("score", scores[name]), "value": float(values[name])}
            for name in order
        ],
    }
    if any(verdict is None for verdict in verdicts.values()):
        result["cells"] = len(scores[best])  # too few to tell anything apart
    for name in (BASE, REAL):
        rows = beside[beside["configuration"] == name]
        if len(rows):
            result[name] = {key: float(rows[key].mean()) for key in ("value", "position")}
    if criterion.key == "fidelity":
        result["distance_closed"] = distance_closed(closed)
    return result


def distance_closed(cells: pd.DataFrame) -> dict[str, Finding]:
    """(value - base) / (real - base) per configuration: 0 at the floor, 1 at the ceiling.

    cells: value, base and real of each cell that has all three. The share is a ratio of means,
    its standard error that of the values. Absent where the ceiling is not above the floor."""
    result = {}
    for name, part in _configurations(cells):
        floor, height = part[BASE].mean(), (part[REAL] - part[BASE]).mean()
        sign = 1 if part["better"].iloc[0] == "higher" else -1
        if sign * height > 0:
            result[name] = _number("share", (part["value"] - floor) / height)
    return result


def _paired(metrics: pd.DataFrame, epoch: int) -> pd.DataFrame:
    """The rows at an epoch whose concept has base and real images too: + `base` and `real`."""
    rows = trained(metrics)
    rows = rows[rows["epoch"] == epoch]
    for name in (BASE, REAL):
        side = metrics[metrics["configuration"] == name]
        rows = rows.merge(side[[*GROUP, "value"]].rename(columns={"value": name}), on=GROUP)
    return rows


def _number(name: str, cells: pd.Series) -> Finding:
    """Mean, n and, where it exists, standard error."""
    number = {name: float(cells.mean()), "n": len(cells)}
    return {**number, "stderr": float(cells.sem())} if len(cells) > 1 else number


def _of(cells: pd.DataFrame, category: str, criterion: Criterion) -> pd.DataFrame:
    return cells[
        (cells["category"] == category)
        & (cells["metric"] == criterion.metric)
        & (cells["prompt_type"] == criterion.prompt_type)
    ]


def _configurations(cells: pd.DataFrame) -> Any:
    return cells.groupby("configuration", sort=False)
