"""Which configuration is best at what, per category and over all. There is no total score:
the criteria conflict, and how to weigh them is the reader's business (design, rule 8)."""

from typing import Any

import pandas as pd

from lycoris_bench.analysis import sentences
from lycoris_bench.analysis.aggregation import units
from lycoris_bench.analysis.bootstrap import resolved, shared
from lycoris_bench.analysis.columns import (
    CEILING,
    CRITERIA,
    GROUP,
    OVERALL,
    SERIES,
    Criterion,
    at_last_epoch,
    main_views,
    ordered,
)
from lycoris_bench.analysis.ranks import positions, scored
from lycoris_bench.messages.numbers import number
from lycoris_bench.study.records import BASE, REAL

CELL = ["seed", "unit"]
Finding = dict[str, Any]


def findings(metrics: pd.DataFrame, heldout: bool | None = None) -> Finding:
    """A plain dict: `epoch`, `ceiling`, then per category (OVERALL first) and criterion what
    `judged` says of the configurations at the last epoch; and `sentences`. What is absent has no
    key.

    heldout: whether the real images were held out, or are half of the training images."""
    seen = main_views(metrics)
    rows = scored(seen)
    result: Finding = {}
    if pd.notna(last := rows["epoch"].max()):
        result["epoch"] = int(last)
    if (metrics["configuration"] == REAL).any():
        name, like = CEILING[heldout]
        result["ceiling"] = {"name": name, "like": like, "halves": heldout is False}
    at_last = at_last_epoch(rows)
    floored = _with_value_of(at_last, seen, BASE)
    views = [units(at_last), units(positions(seen)), units(floored)]
    views.append(units(_with_value_of(floored, seen, REAL)))
    result["categories"] = {
        category: {
            criterion.key: judged(criterion, *parts)
            for criterion in CRITERIA
            if len((parts := [_of(view, category, criterion) for view in views])[0])
        }
        for category in [OVERALL, *ordered(filter(None, rows["category"]))]
    }
    for found in result["categories"].values():
        found["sentences"] = sentences.of_category(found, result.get("ceiling"))
    result["sentences"] = sentences.overall(result, checkpoints=len(rows) > 0)
    return result


def judged(
    criterion: Criterion,
    cells: pd.DataFrame,
    references: pd.DataFrame,
    floored: pd.DataFrame,
    closed: pd.DataFrame,
) -> Finding:
    """One criterion in one category: the ranking, and where there is more than one configuration
    the best and what cannot be told from it."""
    scores = {name: part.set_index(CELL)["score"].dropna() for name, part in _by_name(cells)}
    values = {name: float(part["value"].mean()) for name, part in _by_name(cells)}
    order = sorted(scores, key=lambda name: (-_mean(scores[name]), name))
    result: Finding = {
        "metric": criterion.metric,
        "prompt_type": criterion.prompt_type,
        "better": cells["better"].iloc[0],
        "encoder": cells["encoder"].iloc[0],
        "resize": cells["resize"].iloc[0],
        "ranking": [
            {
                "configuration": name,
                "value": values[name],
                **(_number("score", scores[name]) if len(scores[name]) else {}),
            }
            for name in order
        ],
    }
    ranked = [name for name in order if len(scores[name])]
    if len(ranked) > 1:
        result |= _told_apart({name: scores[name] for name in ranked})
    for name in (BASE, REAL):
        rows = references[references["configuration"] == name]
        if len(rows):
            result[name] = {
                key: float(rows[key].mean())
                for key in ("value", "position")
                if rows[key].notna().any()
            }
    if criterion.key == "fidelity":
        result["against_base"] = against_base(floored)
        result["distance_closed"] = distance_closed(closed)
    return result


def _told_apart(scores: dict[str, pd.Series]) -> Finding:
    """best, tie, tied_with, from scores in the order of their means. `cells`: nothing is told
    apart, as the configurations share no more pairs of seed and class than that."""
    best, *others = scores
    verdicts = {name: resolved(scores[best], scores[name]) for name in others}
    tied = [name for name in others if not verdicts[name]]
    finding: Finding = {"best": best, "tie": bool(tied), "tied_with": tied}
    if all(verdict is None for verdict in verdicts.values()):
        finding["cells"] = max(len(shared(scores[best], scores[name])) for name in others)
    return finding


def against_base(cells: pd.DataFrame) -> dict[str, Finding]:
    """value and base per configuration, over the cells that have both; `worse`: further from the
    training images than the base model is, as far as three digits show."""
    result = {}
    for name, part in _by_name(cells):
        value, base = float(part["value"].mean()), float(part[BASE].mean())
        sign = 1 if part["better"].iloc[0] == "higher" else -1
        worse = sign * (value - base) < 0 and number(value) != number(base)
        result[name] = {"value": value, "base": base, "worse": worse}
    return result


def distance_closed(cells: pd.DataFrame) -> dict[str, Finding]:
    """(value - base) / (real - base) per configuration: 0 at the floor, 1 at the ceiling.

    cells: value, base and real of each cell that has all three. The share is a ratio of means,
    its standard error that of the values. Absent where the ceiling is not above the floor."""
    result = {}
    for name, part in _by_name(cells):
        floor, height = part[BASE].mean(), (part[REAL] - part[BASE]).mean()
        sign = 1 if part["better"].iloc[0] == "higher" else -1
        if sign * height > 0:
            result[name] = _number("share", (part["value"] - floor) / height)
    return result


def _with_value_of(rows: pd.DataFrame, metrics: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of concepts that `name` (base or real) has a value of, with a column of it."""
    side = metrics[metrics["configuration"] == name]
    return rows.merge(side[[*GROUP, "value"]].rename(columns={"value": name}), on=GROUP)


def _number(name: str, cells: pd.Series) -> Finding:
    """Mean, n and, where it exists, standard error."""
    finding = {name: float(cells.mean()), "n": len(cells)}
    return {**finding, "stderr": float(cells.sem())} if len(cells) > 1 else finding


def _mean(scores: pd.Series) -> float:
    """Unranked configurations come last."""
    return float(scores.mean()) if len(scores) else -1.0


def _of(cells: pd.DataFrame, category: str, criterion: Criterion) -> pd.DataFrame:
    return cells[
        (cells["category"] == category)
        & (cells["metric"] == criterion.metric)
        & (cells["prompt_type"] == criterion.prompt_type)
    ]


def _by_name(cells: pd.DataFrame) -> Any:
    return cells.groupby(SERIES, sort=False)
