"""Stage 3: every checkpoint's images become rows of the metric table, base and real included."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lycoris_bench import encoders, registry, runtime
from lycoris_bench.features import encoder
from lycoris_bench.plan import Plan
from lycoris_bench.sight import Sight
from lycoris_bench.store import Store
from lycoris_bench.vocabulary import BASE_CHECKPOINT, REAL, Checkpoint, Concept, MetricRow, uid

KINDS = {"image": ("image", "image+text"), "text": ("image+text",), "gram": ("gram",)}


def score(plan: Plan, store: Store, options: runtime.Options) -> runtime.Outcome:
    """Scores what is not scored under its present inputs; incomplete image sets are failures."""
    outcome = runtime.Outcome()
    items: list[tuple[str, tuple[Any, ...]]] = []
    for checkpoint in [None, *plan.checkpoints]:
        name = str(checkpoint or REAL)
        stored = store.frame(store.metrics(_branch(store, checkpoint)))
        if checkpoint and (lacking := plan.absent(store, checkpoint)):
            outcome.failed[name] = (
                f"{len(lacking)} of {len(plan.jobs(checkpoint))} images are missing; "
                "run 'lycoris-bench generate'"
            )
        elif stored is not None and stored[1] == inputs(plan, checkpoint):
            outcome.skipped += 1
        else:
            items.append((name, (plan, store, checkpoint, options.device)))
    if BASE_CHECKPOINT in plan.checkpoints and str(BASE_CHECKPOINT) in outcome.failed:
        return outcome  # nothing can be held against base
    results = runtime.each(
        score_one, items, workers=options.workers, total=len(items), what="score",
        progress=options.progress, debug=options.debug,
    )  # fmt: skip
    for name, _, error in results:
        if error:
            outcome.failed[name] = error
        else:
            outcome.done += 1
    assemble(plan, store)
    return outcome


def assemble(plan: Plan, store: Store) -> None:
    """All rows of the study in one table, as parquet and as CSV."""
    frames = []
    for checkpoint in [*plan.checkpoints, None]:
        found = store.frame(store.metrics(_branch(store, checkpoint)))
        if found is not None and found[1] == inputs(plan, checkpoint):
            frames.append(found[0])
    if frames:
        table = pd.concat(frames, ignore_index=True)
        store.put_frame(store.table("metrics"), table)
        store.write(store.table("metrics").with_suffix(".csv"), table.to_csv(index=False))


def score_one(plan: Plan, store: Store, checkpoint: Checkpoint | None, device: str) -> None:
    """Every metric of one checkpoint (None: the held-out real images), written as one table;
    beside it a table with a row per image, for the metrics that are means over images."""
    branch = _branch(store, checkpoint)
    rows: list[MetricRow] = []
    images: list[dict[str, Any]] = []
    for row, value, names in _cells(plan, store, checkpoint, device):
        rows.append(row)
        if isinstance(value, np.ndarray):
            about = {k: v for k, v in row.record().items() if k not in ("value", "n")}
            pairs = zip(names, value.tolist(), strict=True)
            images += [{**about, "image": name, "value": number} for name, number in pairs]
    frame = pd.DataFrame([row.record() for row in rows], columns=MetricRow.columns())
    frame = frame.astype({"seed": "Int64", "epoch": "Int64"})
    store.put_frame(store.metrics(branch, "-images"), pd.DataFrame(images))
    store.put_frame(store.metrics(branch), frame, inputs(plan, checkpoint))
    runtime.advance()


Cell = tuple[MetricRow, "float | np.ndarray[Any, Any]", list[str]]


def _cells(plan: Plan, store: Store, checkpoint: Checkpoint | None, device: str) -> Iterator[Cell]:
    """Encoder by encoder, image set by image set: the metrics whose inputs are there."""
    for spec in plan.study.settings.scoring.encoders:
        sight = Sight(plan, store, encoder(spec, device), checkpoint)
        suiting = [m for m in _metrics(plan) if sight.record.outputs in KINDS[m.encoder]]
        for concept, kind in sight.sets:
            for metric in suiting:
                if sight.has(metric.inputs, concept, kind):
                    yield _cell(plan, sight, metric, concept, kind)


def _cell(plan: Plan, sight: Sight, metric: Any, concept: Concept, kind: str) -> Cell:
    """One number with all that it depends on, its value or values per image, their names."""
    value = sight.value(metric, concept, kind)
    items = sight.generated(concept, kind)
    checkpoint = sight.checkpoint
    row = MetricRow(
        study=plan.study.name,
        configuration=checkpoint.configuration.name if checkpoint else REAL,
        algorithm=checkpoint.configuration.algorithm if checkpoint else REAL,
        seed=checkpoint.seed if checkpoint else None,
        epoch=checkpoint.epoch if checkpoint else None,
        strength=checkpoint.strength if checkpoint else 1.0,
        category=concept.category,
        class_name=concept.class_name,
        subclass=concept.subclass,
        prompt_type=kind,
        metric=metric.__name__,
        encoder=sight.record.name,
        resize=sight.record.resize,
        value=float(np.mean(value)),
        better=metric.better,
        n=len(items),
        fingerprint=uid(
            metric.__name__, metric.version, sight.record.hash, len(items),
            sight.held_against(metric, concept, kind),
        ),
    )  # fmt: skip
    return row, value, [path.name for _, path in items]


def _metrics(plan: Plan) -> list[Any]:
    found = registry.entries("metrics")
    return [found[name] for name in plan.study.settings.scoring.metrics or found]


def _branch(store: Store, checkpoint: Checkpoint | None) -> Path:
    return store.branch(checkpoint) if checkpoint else Path(REAL)


def inputs(plan: Plan, checkpoint: Checkpoint | None) -> str:
    """Identity of all that the rows of a checkpoint are computed from."""
    base = plan.jobs(BASE_CHECKPOINT)
    jobs = plan.jobs(checkpoint) if checkpoint else []
    return uid(
        plan.study.name, str(checkpoint),
        [job.uid for job in jobs], [(job.uid, job.text) for job in base],
        plan.data.fingerprint, plan.heldout.fingerprint if plan.heldout else None,
        [encoders.record(spec).hash for spec in plan.study.settings.scoring.encoders],
        [(metric.__name__, metric.version) for metric in _metrics(plan)],
    )  # fmt: skip
