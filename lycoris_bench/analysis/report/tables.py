"""The tables of the report, as plain lists of what stands in their cells."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from lycoris_bench.analysis.columns import PROTOCOL, SERIES, judged_in, ordered, trained
from lycoris_bench.analysis.compare import DIFFERENT, EQUIVALENT, UNDECIDED
from lycoris_bench.analysis.findings.separation import BEST, LEADS, others, separation
from lycoris_bench.analysis.plots.canvas import markers
from lycoris_bench.analysis.plots.scatter import numbers
from lycoris_bench.analysis.series import LAST, MOMENTS
from lycoris_bench.analysis.unlike import protocol_parts
from lycoris_bench.messages.numbers import number

MARKS = {DIFFERENT: "", EQUIVALENT: "=", UNDECIDED: "?"}  # against the leader
SIGNS = {"o": "●", "^": "▲", "s": "■", "D": "◆", "v": "▼", "P": "✚", "X": "✖"}
HIDDEN = (SERIES, "configuration", "algorithm", "lr_level", "capacity", "importance", MOMENTS, LAST)
HEADINGS = {
    "lr": "learning rate",
    "peak_memory": "peak memory",
    "size": "file size",
    "seconds": "training time",
}
COSTS = ("steps", "parameters", "size", "seconds", "peak_memory")


def compared(
    factors: pd.DataFrame, costs: pd.DataFrame | None, metrics: pd.DataFrame
) -> dict[str, Any]:
    """The series: factors, then training cost (to the last epoch, mean over seeds). metrics: those
    without a row in it are marked as lacking scores."""
    there = set(metrics["configuration"].unique())
    spent, number_of = _spent(costs), numbers(factors)
    columns = [name for name in factors if name not in HIDDEN]
    columns = [name for name in columns if (factors[name].notna() & (factors[name] != "")).any()]
    rows = []
    for row in factors.to_dict("records"):
        cost = spent.get(row["configuration"], {})
        cells = [number(row[name], name) for name in columns]
        cells += [number(cost.get(name), name) for name in COSTS if _any(spent, name)]
        rows.append({
            "name": row[SERIES], "number": number_of.get(row[SERIES]),
            "algorithm": row["algorithm"], "cells": cells,
            "scored": row["configuration"] in there,
        })  # fmt: skip
    names = [*columns, *(name for name in COSTS if _any(spent, name))]
    return {
        "columns": [HEADINGS.get(name, name.replace("_", " ")) for name in names], "rows": rows,
        "without_cost": len({*factors["configuration"]} - {*spent}) if spent else 0,
    }  # fmt: skip


def _spent(costs: pd.DataFrame | None) -> dict[str, dict[str, Any]]:
    """Costs grow with the epoch: of each run the largest, then the mean over seeds."""
    if costs is None or costs.empty:
        return {}
    known = [name for name in COSTS if name in costs]
    numbers = costs.assign(**{name: pd.to_numeric(costs[name], "coerce") for name in known})
    runs = numbers.groupby(["configuration", "seed"], dropna=False)[known].max()
    return runs.groupby("configuration").mean().to_dict("index")


def _any(spent: dict[str, dict[str, Any]], name: str) -> bool:
    return any(pd.notna(cost.get(name)) for cost in spent.values())


def scores(found: Mapping[str, Any], factors: pd.DataFrame) -> dict[str, Any]:
    """One row a series, one cell a criterion; base and real images stand above them."""
    criteria = judged_in(found)
    algorithm = dict(zip(factors[SERIES], factors["algorithm"], strict=True))
    number_of = numbers(factors)
    ranked = {
        c.key: {
            row["configuration"]: row
            for row in [*found[c.key]["ranking"], *found[c.key].get("unranked", ())]
        }
        for c in criteria
    }
    names = ordered(name for rows in ranked.values() for name in rows)
    names.sort(
        key=lambda name: list(algorithm).index(name) if name in algorithm else len(algorithm)
    )
    rows = []
    for name in names:
        cells = [_cell(found[c.key], ranked[c.key].get(name), name) for c in criteria]
        share = found.get("fidelity", {}).get("distance_closed", {}).get(name)
        rows.append({
            "name": name, "number": number_of.get(name), "algorithm": algorithm.get(name),
            "cells": cells, "share": share, "front": found.get("front", {}).get(name),
        })  # fmt: skip
    outside = [
        {"name": label, "cells": [found[c.key].get(key) for c in criteria]}
        for key, label in (("base", "base model"), ("real", "real images"))
        if any(key in found[c.key] for c in criteria)
    ]
    return {
        "criteria": criteria, "rows": rows, "outside": outside, "front": "front" in found,
        "closed": any(row["share"] for row in rows),
    }  # fmt: skip


def _cell(judgement: Mapping[str, Any], row: Mapping[str, Any] | None, name: str) -> Any:
    if row is None:
        return None
    told, leads = separation(judgement) in (LEADS, BEST), name == judgement.get("best")
    verdicts = {other["verdict"] for other in others(judgement)}
    first = EQUIVALENT if verdicts == {EQUIVALENT} else UNDECIDED  # where nobody leads
    return {
        **row,
        "best": told and leads,
        "mark": MARKS[first if leads and not told else row.get("verdict", DIFFERENT)],
        "ranked": row not in judgement.get("unranked", ()),
        "of": len(judgement["ranking"]),
    }


def counts(metrics: pd.DataFrame, factors: pd.DataFrame) -> list[tuple[str, str]]:
    """What went into the study, as (number, of what); factors: a row for each configuration that
    it asks for."""
    rows, asked = trained(metrics), factors["configuration"].nunique()
    concepts = rows[rows["category"] != ""][["category", "class", "subclass"]].drop_duplicates()
    made = rows[[SERIES, "seed", "epoch", "strength"]].drop_duplicates()
    facts = [
        (rows["configuration"].nunique(), "configuration"),
        (rows["seed"].nunique(), "seed"),
        (rows["epoch"].nunique(), "epoch"),
        (len(made), "checkpoint"),
        (len(concepts), "concept"),
        (rows["prompt_type"].nunique(), "prompt type"),
        (len(rows), "score"),
    ]
    made = [(number(n), word if n == 1 else f"{word}s") for n, word in facts if n]
    lacking = made and facts[0][0] < asked
    return [(f"{made[0][0]} of {asked}", "configurations"), *made[1:]] if lacking else made


def fingerprints(metrics: pd.DataFrame) -> list[dict[str, Any]]:
    """Per metric, encoder and resizing: what its numbers were computed over."""
    rows = []
    for names, part in trained(metrics).groupby(
        ["metric", "encoder", "resize"], sort=False, observed=True
    ):
        marks = ordered(part["fingerprint"])
        rows.append(
            {"names": names, "n": ordered(map(str, sorted(part["n"].unique()))), "marks": marks}
        )
    return rows


def drawn(metrics: pd.DataFrame) -> list[tuple[str, str]]:
    """How the images were drawn, as far as it is the same for all prompts: a name and a text."""
    protocols = map(protocol_parts, ordered(trained(metrics)[PROTOCOL]))
    settings = ordered(
        ", ".join(f"{key} {value}" for key, value in parts.items() if key != "prompts")
        for parts in protocols
    )
    return [("images", text) for text in settings if text]


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as lines of a name and a text."""
    lines: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += flat(value, f"{prefix}{key} · ")
        elif value is not None:
            text = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            lines.append((f"{prefix}{key}", text))
    return lines


def signs(factors: pd.DataFrame) -> list[tuple[str, str]]:
    """The mark of each preset in the scatter plots, as a character."""
    presets = markers(ordered(factors["preset"].fillna("").astype(str)))
    return [(SIGNS[mark], name) for name, mark in presets.items() if name]
