"""Refuses to rank what cannot be compared: unlike fingerprints, numbers of images or directions in
one group, or two values of one checkpoint."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pandas as pd

from lycoris_bench.analysis.coded import text, texts
from lycoris_bench.analysis.columns import CHECKPOINT, GROUP, PROTOCOL, SECOND, SERIES
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.study.records import REAL

HALVES = re.compile(
    r"([0-9a-f]{16})(?:-([0-9a-f]{16}))?"
)  # measured and drawn (planning/protocol.py)
ALIKE = ["fingerprint", "n", "better"]  # what the numbers of a group agree in


def refuse_twice(rows: pd.DataFrame) -> None:
    """A checkpoint has one value in a group: a second one means that two runs were mixed."""
    twice = rows[rows.duplicated([*GROUP, SERIES, *CHECKPOINT])]
    if len(twice):
        raise BenchError(
            f"{checkpoint_name(twice.iloc[0])} has two values of {_group(twice.iloc[0])}"
        )


def refuse_unlike(metrics: pd.DataFrame) -> None:
    """Scores are only ranked together where all that they depend on is alike (design, rule 3); of
    two studies, where the protocols of their images are known.

    Real images are exempt: their set has its own size and its own reference images."""
    rows = metrics[metrics["configuration"] != REAL]
    rows = rows.assign(origin=text(rows["study"]).where(rows[PROTOCOL] == "", ""))
    sides = rows.drop_duplicates([*GROUP, *ALIKE, "origin"])
    unlike = sides[sides.duplicated(GROUP, keep=False)]
    if unlike.empty:
        return
    rows, unlike = texts(rows), texts(unlike)
    group = rows[(rows[GROUP] == unlike.iloc[0][GROUP]).all(axis=1)]
    parts = [part for _, part in group.groupby([*ALIKE, "origin"], sort=False)]
    first, second = parts[0].iloc[0], parts[1].iloc[0]
    more = f"; and {len(parts) - 2} more differ from these" if parts[2:] else ""
    raise BenchError(
        f"{_group(first)}: {_side(parts[0])} and {_side(parts[1])} cannot be ranked together: "
        f"{'; '.join(_differences(first, second))}{more}. Analyze them apart, or generate "
        "and score them alike"
    )


def _side(part: pd.DataFrame) -> str:
    """`a/seed-23/epoch-010 and 3 more (study toy, fingerprint f0)`."""
    row, others = part.iloc[0], len(part) - 1
    return (
        checkpoint_name(row)
        + (f" and {others} more" if others else "")
        + f" (study {row['study']}, fingerprint {row['fingerprint']})"
    )


def _differences(one: pd.Series, other: pd.Series) -> Iterator[str]:
    """What two rows of a group differ in, a phrase each: "steps 12 against 4"."""
    for name in ("n", "better"):
        if one[name] != other[name]:
            yield f"{name} {one[name]} against {other[name]}"
    known, others = protocol_parts(one[PROTOCOL]), protocol_parts(other[PROTOCOL])
    if known and others:
        for name in {**known, **others}:
            mine, theirs = known.get(name, "unknown"), others.get(name, "unknown")
            if mine != theirs:
                yield f"{name} {mine} against {theirs}"
    elif known or others or one["study"] != other["study"]:
        unknown = [row for row, parts in ((one, known), (other, others)) if not parts]
        yield (
            f"how the images of {' and '.join(map(checkpoint_name, unknown))} were drawn is not "
            "known, as in tables of older versions; 'lycoris-bench score' with the study file "
            "writes it into them"
        )
    if known == others and one["n"] == other["n"] and one["fingerprint"] != other["fingerprint"]:
        yield unlike_fingerprints(one["fingerprint"], other["fingerprint"])


def unlike_fingerprints(one: str, other: str) -> str:
    """What two fingerprints differ in: how was measured, how the images were drawn, or both."""
    measured = (
        "metric version, encoder record (its weights or preprocessing), reference images or texts"
    )
    sides = HALVES.fullmatch(one), HALVES.fullmatch(other)
    if not (sides[0] and sides[1]) or sides[0][2] == sides[1][2]:
        return f"they differ in {measured}"
    drawn = "they differ in what their images were drawn with (sampling, base model or prompts)"
    if not (sides[0][2] and sides[1][2]):
        drawn = "the fingerprint of one does not say how its images were drawn"
    return drawn if sides[0][1] == sides[1][1] else f"{drawn}; they differ in {measured}"


def protocol_parts(protocol: str) -> dict[str, Any]:
    """The parts of a protocol; none where it is not known."""
    try:
        parts = json.loads(protocol)
    except ValueError:
        return {}
    return parts if isinstance(parts, dict) else {}


def checkpoint_name(row: pd.Series) -> str:
    """`lora/seed-23/epoch-010`; base and real images have neither seed nor epoch."""
    if pd.isna(row["epoch"]):
        return str(row["series"])
    seed = "" if pd.isna(row["seed"]) else f"/seed-{row['seed']}"
    return f"{row['series']}{seed}/epoch-{row['epoch']:03d}"


def _group(row: pd.Series) -> str:
    concept = "/".join(str(row[name]) for name in ("category", "class", "subclass") if row[name])
    concept += f" and {row[SECOND]}" if row[SECOND] else ""
    return (
        f"{row['metric']} ({row['encoder']}, {row['resize']}) of {concept or 'all concepts'} "
        f"on {row['prompt_type']} prompts"
    )
