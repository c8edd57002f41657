"""What the explorer of the page draws from, as compact columns.

Numbers are columns of whole numbers: scores in thousandths, values in the unit that `scale` gives,
five digits of the largest. A column of a block has one cell for each point, or checkpoint."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lycoris_bench.analysis.columns import SERIES, VIEW, judged_in, ordered, words
from lycoris_bench.analysis.compare import MARGIN
from lycoris_bench.analysis.findings.separation import BEST, LEADS, separation
from lycoris_bench.analysis.plots.canvas import colours, markers
from lycoris_bench.analysis.plots.scatter import numbers
from lycoris_bench.analysis.report import agreeing, claim_pairs, effects, made
from lycoris_bench.analysis.report.context import Context
from lycoris_bench.analysis.report.pictures import data as album
from lycoris_bench.analysis.report.whole_numbers import (
    SCORE,
    thousandths,
    three_digits,
    unit,
    whole,
)
from lycoris_bench.files.identity import exact
from lycoris_bench.messages.printable import lines
from lycoris_bench.study.records import BASE, REAL

POINT = [SERIES, "epoch"]


def data(context: Context, shap: pd.DataFrame, shown: Sequence[str]) -> dict[str, Any] | None:
    """What the page holds of all views; shap: the effects of factors; shown: the categories, the
    first leads. None: nothing was ranked."""
    factors, aggregate, checkpoints = context.factors, context.aggregate, context.checkpoints
    findings, scores = context.findings, context.scores
    if aggregate.empty:
        return None
    views = aggregate[[*VIEW, "better"]].drop_duplicates().reset_index(drop=True)
    there = {*aggregate[SERIES].unique()}
    names = [name for name in factors[SERIES] if name in there]
    epochs = sorted(int(epoch) for epoch in aggregate["epoch"].dropna().unique())
    seeds = sorted(int(seed) for seed in checkpoints["seed"].dropna().unique())
    points, runs = ordered_rows(aggregate, POINT), ordered_rows(checkpoints, [*POINT, "seed"])
    return {
        "categories": [lines(name) for name in shown],
        "series": _series(factors, aggregate, names),
        "epochs": epochs,
        "seeds": seeds,
        "views": _views(views),
        "margin": MARGIN,
        "ceiling": findings.get("ceiling", {}).get("name", ""),
        "criteria": _criteria(findings["categories"][shown[0]], views),
        "points": _coordinates(points, names, epochs, seeds),
        "checkpoints": _coordinates(runs, names, epochs, seeds),
        "blocks": _blocks(aggregate, checkpoints, views, shown, points, runs),
        "outside": _outside(context.references, views, shown),
        "verdicts": _verdicts(findings, views, shown, names),
        "pictures": album(context.pictures, context.gallery, context.metrics, names),
        "effects": effects.data(shap, factors, views, shown, checkpoints, runs),
        "agreement": agreeing.data(context.correlation, views),
        **claim_pairs.data(scores, factors, names, epochs, seeds),
        "made": made.data(scores, views, context.provenance),
    }


def ordered_rows(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Each combination of the keys once, in the order of the table."""
    return frame[keys].drop_duplicates().reset_index(drop=True)


def _series(
    factors: pd.DataFrame, aggregate: pd.DataFrame, names: Sequence[str]
) -> list[dict[str, Any]]:
    presets = factors["preset"].fillna("").astype(str)
    ink, marks = colours(ordered(factors["algorithm"])), markers(ordered(presets))
    number = numbers(factors)
    whose = dict(zip(factors[SERIES], factors["configuration"].astype(str), strict=True))
    strengths = dict(zip(aggregate[SERIES], aggregate["strength"], strict=True))
    rows = zip(factors[SERIES], factors["algorithm"], presets, strict=True)
    known = {name: (algorithm, preset) for name, algorithm, preset in rows}
    return [
        {
            "name": lines(name),
            "configuration": lines(whose[name]),
            "algorithm": lines(known[name][0]),
            "preset": lines(known[name][1]),
            "strength": exact(float(strengths[name])),
            "number": number.get(name),
            "colour": ink[known[name][0]],
            "mark": marks[known[name][1]],
        }
        for name in names
    ]


def _views(views: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {**{key: lines(str(row[key])) for key in (*VIEW, "better")}, "title": words(row["metric"])}
        for row in views.to_dict("records")
    ]


def _criteria(found: Mapping[str, Any], views: pd.DataFrame) -> list[dict[str, Any]]:
    """The criteria that the findings judge by: heading, and the view that each is seen through."""
    return [
        {"heading": c.heading, "view": place}
        for c in judged_in(found)
        if (place := _place(found[c.key], views)) is not None
    ]


def _place(judgement: Mapping[str, Any], views: pd.DataFrame) -> int | None:
    """Which of the views a judgement was made through."""
    same = np.logical_and.reduce([views[key] == judgement[key] for key in VIEW])
    return int(np.flatnonzero(same)[0]) if same.any() else None


def _coordinates(
    rows: pd.DataFrame, names: Sequence[str], epochs: Sequence[int], seeds: Sequence[int]
) -> dict[str, list[int | None]]:
    """Per point, or checkpoint, the places of its series, epoch and seed; null: it has none."""
    known: dict[str, Sequence[Any]] = {SERIES: names, "epoch": epochs, "seed": seeds}
    return {key: _places(rows[key], known[key]) for key in rows}


def _places(values: pd.Series, known: Sequence[Any]) -> list[int | None]:
    place = {value: k for k, value in enumerate(known)}
    return [None if pd.isna(value) else place[value] for value in values]


def _blocks(
    aggregate: pd.DataFrame,
    checkpoints: pd.DataFrame,
    views: pd.DataFrame,
    shown: Sequence[str],
    points: pd.DataFrame,
    runs: pd.DataFrame,
) -> list[dict[str, Any]]:
    """One for each category and view that has numbers."""
    columns = ["score", "score_stderr", "value", "value_stderr"]
    means = _grids(aggregate, columns, views, shown, points)
    (single,) = _grids(checkpoints, ["score"], views, shown, runs)
    blocks = []
    for category, view in np.ndindex(len(shown), len(views)):
        score, error, value, spread = means[:, category, view]
        if np.isnan(value).all():
            continue
        scale = unit(value)
        blocks.append({
            "category": category, "view": view, "scale": scale,
            "score": thousandths(score), "error": thousandths(error),
            "value": three_digits(value, scale), "spread": whole(spread / scale),
            "each": whole(single[category, view] * SCORE),
        })  # fmt: skip
    return blocks


def _grids(
    frame: pd.DataFrame,
    columns: list[str],
    views: pd.DataFrame,
    shown: Sequence[str],
    keys: pd.DataFrame,
) -> np.ndarray:
    """[columns, categories, views, points]; nan where there is no such row."""
    frame = frame[frame["category"].isin(shown)]
    made = np.full((len(columns), len(shown), len(views), len(keys)), np.nan)
    at = pd.Index(shown).get_indexer(pd.Index(frame["category"]))
    through, of = (_lookup(known, frame) for known in (views[VIEW], keys))
    made[:, at, through, of] = frame[columns].to_numpy("float64", na_value=np.nan).T
    return made


def _lookup(known: pd.DataFrame, frame: pd.DataFrame) -> np.ndarray:
    """For each row of the frame which row of `known` it is."""
    numbered = known.assign(place=range(len(known)))
    return frame[list(known)].merge(numbered, on=list(known), how="left")["place"].to_numpy()


def _outside(
    references: pd.DataFrame, views: pd.DataFrame, shown: Sequence[str]
) -> list[dict[str, Any]]:
    """Position and value of base and of real images, by category and view."""
    rows = references[references["category"].isin(shown)].reset_index(drop=True)
    through = _lookup(views[VIEW], rows)
    place = {name: k for k, name in enumerate(shown)}
    return [
        {
            "name": row.configuration, "category": place[row.category], "view": int(view),
            "value": float(f"{row.value:.9g}"),
            "position": None if pd.isna(row.position) else round(float(row.position), 3),
        }
        for row, view in zip(rows.itertuples(), through, strict=True)
        if row.configuration in (BASE, REAL) and not pd.isna(view)
    ]  # fmt: skip


def _verdicts(
    findings: Mapping[str, Any], views: pd.DataFrame, shown: Sequence[str], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Per category and judgement what the tests at the last epoch say of each series against the
    first: "first", "different", "equivalent", "undecided"; null: it is not ranked.
    told: whether any is told apart from the first."""
    said = []
    for category, name in enumerate(shown):
        found = findings["categories"][name]
        for judgement in [*(found[c.key] for c in judged_in(found)), *found.get("also", ())]:
            view = _place(judgement, views)
            if view is None or "best" not in judgement:
                continue
            rows = {row["configuration"]: row for row in judgement["ranking"]}
            first = {judgement["best"]: "first"}
            said.append({
                "category": category, "view": view, "of": len(rows),
                "told": separation(judgement) in (LEADS, BEST),
                "verdict": [first.get(n) or rows.get(n, {}).get("verdict") for n in names],
                "ranks": [rows.get(n, {}).get("rank") for n in names],
            })  # fmt: skip
    return said
