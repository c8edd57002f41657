"""Stage 3: every checkpoint's images become rows of the metric table, base and real included."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from lycoris_bench.files.identity import uid
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.printable import csv
from lycoris_bench.planning import scored_rows
from lycoris_bench.planning.plan import Plan
from lycoris_bench.planning.status import Status
from lycoris_bench.run import environment, executor
from lycoris_bench.run import outcome as outcome_module
from lycoris_bench.run.store import Store
from lycoris_bench.scoring.encoders.base import Record
from lycoris_bench.scoring.feature_pass import UnreadableImages, encoder
from lycoris_bench.scoring.image_sets import WHOLE, Array, Key, Sets
from lycoris_bench.scoring.scorer import sights
from lycoris_bench.study import prompt_types
from lycoris_bench.study.records import BASE_CHECKPOINT, REAL, Checkpoint, MetricRow


def score(plan: Plan, store: Store, options: outcome_module.Options) -> outcome_module.Outcome:
    """Scores what is not scored under its present inputs; incomplete image sets are failures."""
    outcome = outcome_module.Outcome()
    items: list[tuple[str, tuple[Any, ...]]] = []
    status = Status(plan, store, keeps=True)
    for checkpoint in [None, *plan.checkpoints]:
        name = str(checkpoint or REAL)
        if checkpoint and (lacking := status.lacking(checkpoint)):
            outcome.failed[name] = (
                f"{lacking} of {plan.image_count(checkpoint)} images are missing; "
                "run 'lycoris-bench generate'"
            )
        elif status.is_scored(checkpoint):
            outcome.skipped += 1
        else:
            items.append((name, (plan, store, checkpoint)))
    if BASE_CHECKPOINT in plan.checkpoints and str(BASE_CHECKPOINT) in outcome.failed:
        return outcome  # nothing can be held against base
    results = executor.each(
        score_one, items, workers=options.workers, total=len(items), what="score",
        devices=environment.devices(options.device),
        progress=options.progress, debug=options.debug,
    )  # fmt: skip
    for name, _, error in results:
        if error:
            outcome.failed[name] = error
        else:
            outcome.done += 1
    if outcome.done or not status.is_assembled():
        assemble(plan, store)
    return outcome


def assemble(plan: Plan, store: Store) -> None:
    """All rows of the study, those beyond a limit too, in one table, as parquet and as CSV."""
    found = {c: scored_rows.rows(plan, store, c) for c in [*plan.study.checkpoints, None]}
    table = scored_rows.joined(found.values())
    if table is not None:
        carried = json.dumps(scored_rows.identities(plan))
        store.put_frame(store.table("metrics"), table, carried)
        store.write(store.table("metrics").with_suffix(".csv"), csv(table))
        scored = [checkpoint for checkpoint, rows in found.items() if rows is not None]
        Status(plan, store).keep_tables(scored)


def score_one(plan: Plan, store: Store, checkpoint: Checkpoint | None, device: str) -> None:
    """Every metric of one checkpoint (None: the held-out real images), written as one table;
    beside it a table with a row per image, for the metrics that are means over images."""
    branch = scored_rows.branch(store, checkpoint)
    rows: list[MetricRow] = []
    images: list[dict[str, Any]] = []
    with _damaged_set_aside(plan, store, checkpoint):
        for row, value, names in _cells(plan, store, checkpoint, device):
            rows.append(row)
            if isinstance(value, np.ndarray):
                about = {k: v for k, v in row.record().items() if k not in ("value", "n")}
                pairs = zip(names, value.tolist(), strict=True)
                images += [{**about, "image": name, "value": number} for name, number in pairs]
    frame = pd.DataFrame([row.record() for row in rows], columns=MetricRow.columns())
    frame = frame.astype({"seed": "Int64", "epoch": "Int64"})
    store.put_frame(store.metrics(branch, "-images"), pd.DataFrame(images))
    store.put_frame(store.metrics(branch), frame, scored_rows.inputs(plan, store, checkpoint))
    executor.advance()


@contextlib.contextmanager
def _damaged_set_aside(plan: Plan, store: Store, checkpoint: Checkpoint | None) -> Iterator[None]:
    """Images of the run that cannot be decoded are set aside, so that they are drawn again."""
    try:
        yield
    except UnreadableImages as error:
        own = [path for path in error.problems if path.is_relative_to(store.root)]
        for path in own:
            store.set_aside(path)
        for drawn in {checkpoint or BASE_CHECKPOINT, BASE_CHECKPOINT} if own else ():
            Status(plan, store).forget(drawn)
        if not own:
            raise
        raise BenchError(
            f"{len(own)} images are damaged and were set aside; run 'lycoris-bench generate' to "
            f"draw them again ({error.problems[own[0]]})"
        ) from None


Cell = tuple[MetricRow, "float | np.ndarray[Any, Any]", list[str]]


def _cells(plan: Plan, store: Store, checkpoint: Checkpoint | None, device: str) -> Iterator[Cell]:
    """Encoder by encoder, image set by image set: the metrics whose inputs are there."""
    sets = Sets(plan, store, checkpoint)
    scoring = plan.study.settings.scoring
    seers = [
        (encoder(spec, device, scoring.weights_of(spec)), scored_rows.suiting(plan, spec))
        for spec in scoring.encoders
    ]
    scored_rows.keep(store, [seer.record for seer, _ in seers])
    for sight, (seer, metrics) in zip(sights(sets, seers), seers, strict=True):
        keys = {metric: sets.keys(metric) for metric in metrics}
        for concept, kind in [*sets.asked, *((WHOLE, kind) for kind in prompt_types.TYPES)]:
            for metric in metrics:
                if (concept, kind) in keys[metric]:
                    value = sight.value(metric, concept, kind)
                    yield _cell(sets, seer.record, metric, (concept, kind), value)


def _cell(sets: Sets, record: Record, metric: Any, key: Key, value: float | Array) -> Cell:
    """One number with all that it depends on, its value or values per image, their names."""
    concept, kind = key
    items = sets.generated(concept, kind)
    checkpoint = sets.checkpoint
    row = MetricRow(
        study=sets.plan.study.name,
        configuration=checkpoint.configuration.name if checkpoint else REAL,
        algorithm=checkpoint.configuration.algorithm if checkpoint else REAL,
        seed=checkpoint.seed if checkpoint else None,
        epoch=checkpoint.epoch if checkpoint else None,
        strength=checkpoint.strength if checkpoint else 1.0,
        category=concept.category,
        class_name=concept.class_name,
        subclass=concept.subclass,
        prompt_type=kind,
        metric=metric.called,
        encoder=record.name,
        resize=record.resize,
        value=float(np.mean(value)),
        better=_better(metric, kind),
        n=len(items),
        fingerprint=uid(
            metric.__name__, metric.version, record.hash, len(items),
            sets.held_against(metric, concept, kind),
        ),
    )  # fmt: skip
    return row, value, [path.name for _, path in items]


def _better(metric: Any, kind: str) -> str:
    """The metric's direction; turned round where being like the dataset is a leak."""
    if prompt_types.TYPES[kind].leak and "reference" in metric.inputs:
        return "lower" if metric.better == "higher" else "higher"
    return str(metric.better)
