"""How much better or worse a concept is in one model than in another: a mean over seeds and
classes, its interval, and what can be said of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lycoris_bench.analysis.aggregation import units
from lycoris_bench.analysis.coded import texts
from lycoris_bench.analysis.columns import (
    CONCEPT,
    CRITERIA,
    OVERALL,
    SERIES,
    VIEW,
    Criterion,
    at_last_epoch,
    first_views,
    trained,
)
from lycoris_bench.analysis.compare import ALPHA
from lycoris_bench.analysis.comparing.many_tests import holm
from lycoris_bench.analysis.comparing.pairs import grids, study_noise
from lycoris_bench.analysis.comparing.two_way import Estimate, two_way
from lycoris_bench.analysis.several_concepts.relations import Relations

COMPOSITION = Criterion("composition", "both_found", "compose", "Composition", "")
JUDGED = (*CRITERIA, COMPOSITION)  # of which something is said; the tables have all views
BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"
COLUMNS = [
    "configuration", "strength", "against", *VIEW, "better", "concept", "value", "value_against",
    "difference", "stderr", "low", "high", "p", "seeds", "classes", "verdict",
]  # fmt: skip
APART = "each concept alone"
CELLS = ["seed", "unit"]
DIFFERENCES = ("interference", "merging")
Side = tuple[str, float]  # a configuration, or APART, and its strength


@dataclass(frozen=True)
class Differences:
    """Tables of COLUMNS, a row a view and concept, and one of all concepts (OVERALL).

    interference: taught together less taught apart. merging: taught apart and merged, at each
    strength, less taught together. `difference` is in the metric's own units; `verdict` says
    whether it is for the better, of JUDGED views in all concepts alone."""

    interference: pd.DataFrame
    merging: pd.DataFrame


def differences(metrics: pd.DataFrame, relations: Relations) -> Differences | None:
    """Of a metric table with all configurations; None where it compares none of these."""
    rows = texts(at_last_epoch(trained(metrics)))
    rows = rows[rows["category"] != ""]
    tables: dict[str, list[pd.DataFrame]] = {"interference": [], "merging": []}
    for together in dict.fromkeys(relations.apart.values()):
        apart = [name for name, whole in relations.apart.items() if whole == together]
        merged = [name for name, whole in relations.merged.items() if whole == together]
        for kind, table in _of(rows, together, apart, merged):
            tables[kind].append(table)
    views = first_views(rows)
    judged = {kind: _judged(found, views) for kind, found in tables.items()}
    return Differences(**judged) if any(map(len, judged.values())) else None


def _of(
    rows: pd.DataFrame, together: str, apart: list[str], merged: list[str]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """The tables of one configuration that is taught all concepts."""
    sides = {(together, 1.0): _at_own_strength(rows[rows["configuration"] == together])}
    alone = [_at_own_strength(rows[rows["configuration"] == name]) for name in apart]
    sides[APART, 1.0] = pd.concat(alone, ignore_index=True)
    for name in merged:
        own = rows[rows["configuration"] == name]
        sides |= {
            (name, float(s)): own[own["strength"] == s] for s in sorted(own["strength"].unique())
        }
    there = {side: part for side, part in sides.items() if len(part)}
    first = (together, 1.0)
    if first not in there:
        return
    if (APART, 1.0) in there:
        yield "interference", _table(there, [(first, (APART, 1.0))])
    if pairs := [(side, first) for side in there if side[0] in merged]:
        yield "merging", _table(there, pairs)


def _at_own_strength(rows: pd.DataFrame) -> pd.DataFrame:
    """At strength 1, or the nearest that was drawn."""
    if rows.empty:
        return rows
    nearest = rows["strength"].iloc[(rows["strength"] - 1).abs().argmin()]
    return rows[rows["strength"] == nearest]


def _table(sides: Mapping[Side, pd.DataFrame], pairs: list[tuple[Side, Side]]) -> pd.DataFrame:
    """Every view of the sides, of all concepts and of each."""
    names = {side: str(place) for place, side in enumerate(sides)}
    every = pd.concat(
        [part.assign(**{SERIES: names[side]}) for side, part in sides.items()], ignore_index=True
    )
    every["configuration"] = every["algorithm"] = every[SERIES]  # apart are several
    every["strength"], every["epoch"] = 1.0, 0
    mean = [*VIEW, "better", *CONCEPT, SERIES, "configuration", "algorithm", "strength", "epoch"]
    every = every.groupby([*mean, "seed"], sort=False, dropna=False)["value"].mean().reset_index()
    found = []
    for view, part in every.groupby([*VIEW, "better"], sort=False):
        about = dict(zip([*VIEW, "better"], view, strict=True))
        cells = units(part)
        scopes = {OVERALL: cells[cells["category"] == OVERALL]}
        named = part[CONCEPT[:3]].agg(lambda row: "/".join(filter(None, row)), axis=1)
        named += part["second"].map(lambda second: f" and {second}" if second else "")
        for concept in dict.fromkeys(named):
            scopes[concept] = part[named == concept].assign(unit=concept)
        for concept, scope in scopes.items():
            grid = grids(scope, "value", {SERIES: list(names.values())})
            for one, other in pairs:
                estimate, means = _estimate(grid, int(names[one]), int(names[other]))
                if np.isnan(estimate.mean):
                    continue
                found.append({
                    "configuration": one[0], "strength": one[1], "against": other[0], **about,
                    "concept": concept, "value": means[0], "value_against": means[1],
                    "difference": estimate.mean, "stderr": estimate.stderr, "low": estimate.low,
                    "high": estimate.high, "p": estimate.p, "seeds": estimate.seeds,
                    "classes": estimate.classes,
                })  # fmt: skip
    return pd.DataFrame(found, columns=COLUMNS)


def _estimate(grid: np.ndarray, one: int, other: int) -> tuple[Estimate, list[float]]:
    """The mean difference of two sides, with the noise that all sides show, and the mean of each
    in the cells that both have."""
    difference = np.round(grid[one] - grid[other], 12)
    there = ~np.isnan(difference)
    means = [float(grid[side][there].mean()) if there.any() else np.nan for side in (one, other)]
    known = grid[~np.isnan(grid).all(axis=(1, 2))]
    noise = study_noise(known) if len(known) > 2 and there.sum() > 1 else None
    return two_way(difference, noise), means


def _judged(tables: list[pd.DataFrame], views: pd.DataFrame) -> pd.DataFrame:
    """The tables as one, with a verdict on each judged view over all concepts: Holm over those."""
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
    main = table.merge(views, on=list(views), how="left", indicator=True)["_merge"] == "both"
    pairs = {(criterion.metric, criterion.prompt_type) for criterion in JUDGED}
    asked_of = zip(table["metric"], table["prompt_type"], strict=True)
    kinds = np.array([pair in pairs for pair in asked_of], dtype=bool)
    asked = (main & kinds & (table["concept"] == OVERALL)).to_numpy(dtype=bool)
    table["verdict"] = ""
    sure = holm(table.loc[asked, "p"].to_numpy(dtype="float64")) <= ALPHA
    up = table.loc[asked, "difference"].gt(0) == table.loc[asked, "better"].eq("higher")
    table.loc[asked, "verdict"] = np.where(~sure, UNDECIDED, np.where(up, BETTER, WORSE))
    return table
