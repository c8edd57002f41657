"""What a run is shown by elsewhere: for each criterion (fidelity, control, diversity, preservation)
the number of each configuration at the last epoch, and what they may be compared under."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from lycoris_bench.analysis import aggregation, ranks
from lycoris_bench.analysis.columns import (
    CONCEPT,
    CRITERIA,
    OVERALL,
    PROTOCOL,
    SERIES,
    Criterion,
    at_last_epoch,
    ordered,
    reference_rows,
    trained,
)
from lycoris_bench.analysis.main_scores import main_rows
from lycoris_bench.analysis.stored_run import StoredRun, open_run
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.planning import scored_rows, scored_with
from lycoris_bench.run.store import Store
from lycoris_bench.study.records import BASE, REAL


@dataclass(frozen=True)
class Value:
    """A mean over seeds and classes with its standard error over both (None for a single cell);
    `n` is the number of cells, seeds x classes."""

    value: float
    stderr: float | None
    n: int


@dataclass(frozen=True)
class Entry:
    """A configuration at a strength, after the last epoch. `values` are by the criterion's key."""

    name: str
    algorithm: str
    epoch: int | None
    seeds: int
    values: Mapping[str, Value]


@dataclass(frozen=True)
class Term:
    """What the numbers of a criterion and a concept are measured under: equal terms, comparable
    numbers."""

    criterion: str
    metric: str
    prompt_type: str
    encoder: str
    resize: str
    concept: str
    better: str
    n: int
    fingerprint: str
    protocol: str = ""


@dataclass(frozen=True)
class RunValues:
    """A run: `base` and `real` are what the base model and real images reach. `encoders` says of
    each the weights that were read, where it is known."""

    name: str
    study: str
    base_model: str
    dataset: str
    entries: tuple[Entry, ...]
    terms: tuple[Term, ...]
    base: Mapping[str, Value] = field(default_factory=dict)
    real: Mapping[str, Value] = field(default_factory=dict)
    encoders: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Its fields as JSON."""
        return asdict(self)


def read(folder: Path) -> RunValues:
    """The values of a run folder. BenchError: it is no run folder, is not scored, holds the numbers
    of other settings than it has now, numbers that were measured unlike, or none of a criterion."""
    run = open_run(folder)
    table, source = _table(run), str(Store(run.folder).table("metrics"))
    rows = main_rows(table, source)
    if trained(rows).empty:
        wanted = "; ".join(criterion.what for criterion in CRITERIA)
        raise BenchError(
            f"{source} has no number of a checkpoint to show; one of these is needed: {wanted}"
        )
    last = at_last_epoch(trained(rows))
    scored = ranks.scored(pd.concat([last, reference_rows(rows)], ignore_index=True))
    means = aggregation.by_configuration(scored)
    beside = aggregation.references(reference_rows(rows))
    settings = run.study.settings
    sources = scored_rows.sources_in(table, run.study)
    return RunValues(
        run.folder.name, run.study.name, Path(settings.base_model).name,
        Path(settings.dataset).name,
        tuple(_entry(name, means, scored) for name in ordered(means[SERIES])),
        tuple(_terms(scored)),
        _values(beside[beside["configuration"] == BASE]),
        _values(beside[beside["configuration"] == REAL]),
        scored_with.encoders(Store(run.folder), sources),
    )  # fmt: skip


def _table(run: StoredRun) -> pd.DataFrame:
    store = Store(run.folder)
    stored = store.frame(store.table("metrics"))
    if stored is None:
        state = "a damaged" if store.table("metrics").exists() else "no"
        raise BenchError(f"{store.root} holds {state} metrics.parquet; run 'lycoris-bench score'")
    table: pd.DataFrame = stored[0]
    if others := scored_rows.of_other_settings(store, *stored):
        raise BenchError(
            f"{store.table('metrics')} holds the numbers of other settings or data than the run "
            f"has now, of {', '.join(others[:3])}; run 'lycoris-bench score' with the study file"
        )
    return table


def _entry(name: str, means: pd.DataFrame, scored: pd.DataFrame) -> Entry:
    own = means[means[SERIES] == name]
    first = own.iloc[0]
    epoch = None if pd.isna(first["epoch"]) else int(first["epoch"])
    seeds = scored.loc[scored[SERIES] == name, "seed"].nunique()
    return Entry(name, str(first["algorithm"]), epoch, max(1, int(seeds)), _values(own))


def _values(rows: pd.DataFrame) -> dict[str, Value]:
    found = {}
    for criterion in CRITERIA:
        seen = _seen(rows, criterion)
        for row in seen[seen["category"] == OVERALL].to_dict("records"):
            error = row["value_stderr"]
            stderr = None if pd.isna(error) else float(error)
            found[criterion.key] = Value(float(row["value"]), stderr, int(row["n"]))
    return found


def _seen(rows: pd.DataFrame, criterion: Criterion) -> pd.DataFrame:
    there = (rows["metric"] == criterion.metric) & (rows["prompt_type"] == criterion.prompt_type)
    return rows[there]


def _terms(scored: pd.DataFrame) -> list[Term]:
    found = []
    for criterion in CRITERIA:
        for row in _seen(scored, criterion).drop_duplicates(CONCEPT).to_dict("records"):
            concept = "/".join(row[name] for name in CONCEPT if row[name])
            found.append(
                Term(
                    criterion.key, criterion.metric, criterion.prompt_type, row["encoder"],
                    row["resize"], concept, row["better"], int(row["n"]), row["fingerprint"],
                    row[PROTOCOL],
                )
            )  # fmt: skip
    return found
