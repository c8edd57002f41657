"""Stage 3: evaluates metrics on the images of each checkpoint, the base model and real images,
as rows of the metric table."""

import contextlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.printable import csv
from lycoris_bench.planning import reads, scored_rows, scored_with
from lycoris_bench.planning.plan import Plan
from lycoris_bench.planning.protocol import protocols
from lycoris_bench.planning.status import Status
from lycoris_bench.run import executor
from lycoris_bench.run.executor import Item
from lycoris_bench.run.outcome import Options, Outcome
from lycoris_bench.run.store import Store
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.effective_images import effective_images
from lycoris_bench.scoring.encoders.base import Record
from lycoris_bench.scoring.feature_pass import Given, UnreadableImages, shared_encoder
from lycoris_bench.scoring.fingerprint import fingerprint
from lycoris_bench.scoring.image_sets import REFERENCE, image_sets
from lycoris_bench.scoring.metrics.base import NO_ENCODER, Metric
from lycoris_bench.scoring.metrics.inputs import ScoredSet
from lycoris_bench.scoring.scorer import Array, Scorer, View, scorers
from lycoris_bench.study import prompt_types
from lycoris_bench.study.records import BASE_CHECKPOINT, REAL_IMAGES, Checkpoint, MetricRow, Source

OF_SETS = ("value", "n", "fingerprint", "protocol")  # columns of a set, not of parts of it


class DamagedImages(BenchError):
    """Images of the run cannot be decoded and were set aside."""


def score(plan: Plan, store: Store, options: Options) -> Outcome:
    """Scores checkpoints that have no rows under their present inputs; the outcome names those
    whose images are not all there as failures. Rows outlive their images."""
    outcome = Outcome()
    items: list[Item] = []
    status = Status(plan, store, keeps=True)
    for source in scored_rows.sources(plan):
        name = str(source)
        if isinstance(source, Checkpoint) and not status.needs_images(source):
            outcome.skipped += 1
        elif isinstance(source, Checkpoint) and (lacking := status.lacking(source)):
            outcome.failed[name] = (
                f"{lacking} of {plan.image_count(source)} images are missing, damaged or of other "
                "settings; run 'lycoris-bench generate'"
            )
        elif status.has_rows(source):
            outcome.skipped += 1
        else:
            items.append(scoring_of(plan, store, source))
    if str(BASE_CHECKPOINT) in outcome.failed:
        return outcome  # nothing can be compared with base
    results = executor.each(
        items, workers=options.workers, total=len(items), what="score",
        devices=options.devices,
        progress=options.progress, debug=options.debug, cluster=options.cluster,
    )  # fmt: skip
    for name, _, error in results:
        if error:
            outcome.failed[name] = error
        else:
            outcome.done += 1
    finish(plan, store, status, outcome)
    return outcome


def finish(plan: Plan, store: Store, status: Status, outcome: Outcome) -> None:
    """Joins the stored rows to one table where that lacks some, and warns of encoders whose
    weights are not pinned."""
    scoring = plan.study.settings.scoring
    if outcome.done and (loose := encoders.unpinned(scoring.encoders, scoring.weights)):
        outcome.warnings["encoders"] = "; ".join(loose)
    if outcome.done or not status.is_assembled():
        assemble(plan, store)


def assemble(plan: Plan, store: Store) -> None:
    """Writes all rows of the study, beyond a `limit` too, as one table: parquet and CSV."""
    sources: list[Source] = [*plan.study.checkpoints, REAL_IMAGES]
    tables = {source: scored_rows.rows(plan, store, source) for source in sources}
    table = scored_rows.joined(tables.values())
    if table is not None:
        identities = json.dumps(scored_rows.identities(plan))
        store.put_frame(store.table("metrics"), table, identities)
        store.write(store.table("metrics").with_suffix(".csv"), csv(table.drop(columns="protocol")))
        scored = [source for source, rows in tables.items() if rows is not None]
        Status(plan, store).keep_tables(scored)


def scoring_of(plan: Plan, store: Store, source: Source, turn: float = 0.0) -> Item:
    """The item that scores a source from its files."""
    return Item(
        str(source), score_one, (plan, store, source), turn=turn,
        reads=reads.of_source(plan, store, source),
        shares=(*reads.inputs(plan), *reads.compared_with(plan, store)),
    )  # fmt: skip


def score_one(plan: Plan, store: Store, source: Source, device: str) -> None:
    """Scores one checkpoint or real images from their files."""
    write_rows(plan, store, source, device)
    executor.advance()


def write_rows(
    plan: Plan,
    store: Store,
    source: Source,
    device: str,
    drawn: Iterable[tuple[str, Given]] = (),
) -> None:
    """Writes two tables of one checkpoint or of real images: a row per metric and image set, and,
    as each encoder's first resizing sees them, one of parts of the sets: each image, for metrics
    that are means over images, else each half. Images that are `drawn` meanwhile are not read from
    their files."""
    branch = store.branch(source)
    rows: list[MetricRow] = []
    parts: list[dict[str, Any]] = []
    with _damaged_set_aside(plan, store, source):
        for row, values in _scored(plan, store, source, device, drawn):
            rows.append(row)
            about = {k: v for k, v in row.record().items() if k not in OF_SETS}
            parts += [{**about, "image": name, "value": number} for name, number in values]
    frame = pd.DataFrame([row.record() for row in rows], columns=MetricRow.columns())
    frame = frame.astype({"seed": "Int64", "epoch": "Int64"})
    store.put_frame(store.metrics(branch, "-images"), _single_precision(parts))
    store.put_frame(store.metrics(branch), frame, scored_rows.inputs(plan, store, source))


def _single_precision(parts: list[dict[str, Any]]) -> pd.DataFrame:
    """They are many, and say how noisy the metric's own number is."""
    frame = pd.DataFrame(parts)
    return frame.astype({"value": "float32"}) if parts else frame


@contextlib.contextmanager
def _damaged_set_aside(plan: Plan, store: Store, source: Source) -> Iterator[None]:
    """Sets aside images of the run that cannot be decoded, so that `generate` draws them again."""
    try:
        yield
    except UnreadableImages as error:
        damaged = [path for path in error.problems if path.is_relative_to(store.root)]
        for path in damaged:
            store.set_aside(path)
        for drawn in {source, BASE_CHECKPOINT} if damaged else ():
            if isinstance(drawn, Checkpoint):
                Status(plan, store).forget(drawn)
        if not damaged:
            raise
        raise DamagedImages(
            f"{len(damaged)} images are damaged and were set aside; run 'lycoris-bench generate' "
            f"to draw them again ({error.problems[damaged[0]]})"
        ) from None


Parts = list[tuple[str, float]]
Scored = tuple[MetricRow, Parts]
"""A row of the table, and the metric's number for each image, or half of the images, by name."""
HALVES = ("first half", "second half")


def _scored(
    plan: Plan, store: Store, source: Source, device: str, drawn: Iterable[tuple[str, Given]]
) -> Iterator[Scored]:
    """Evaluates, for each encoder and image set, the metrics whose inputs are available."""
    sets, scoring = image_sets(plan, store, source), plan.study.settings.scoring
    views: list[View] = [
        (shared_encoder(spec, device, scoring.weights_of(spec)), scored_rows.suiting(plan, spec))
        for spec in scoring.encoders
    ]
    records = [encoder.record for encoder, _ in views if encoder]
    scored_rows.keep(store, records)
    views.append((None, scored_rows.without_encoder(plan)))
    protocol, evaluated = protocols(plan, source), scorers(sets, views, drawn)
    images = effective_images(sets, views, evaluated)
    scored_with.keep(store, source, device, records, images)
    first = {record.name: record for record in reversed(records)}
    for scorer, (encoder, metrics) in zip(evaluated, views, strict=True):
        record = None if encoder is None else encoder.record
        in_parts = record is None or record == first[record.name]
        for scored in [*sets.single, *sets.whole]:
            for metric in metrics:
                if scored in sets.of(metric):
                    value = scorer.value(metric, scored)
                    under = protocol[scored.cell]
                    row = _row(plan, source, record, metric, scored, value, under)
                    yield row, _parts(scorer, metric, scored, value) if in_parts else []


def _parts(scorer: Scorer, metric: Metric, scored: ScoredSet, value: float | Array) -> Parts:
    if isinstance(value, np.ndarray):
        names = [path.name for _, path in scored.generated]
        return list(zip(names, value.tolist(), strict=True))
    halves = [float(np.mean(half)) for half in scorer.of_halves(metric, scored)]
    return list(zip(HALVES, halves, strict=False))


def _row(
    plan: Plan,
    source: Source,
    record: Record | None,
    metric: Metric,
    scored: ScoredSet,
    value: float | Array,
    protocol: str,
) -> MetricRow:
    """One row of the metric table: a metric's mean value and all that it depends on."""
    return MetricRow(
        study=plan.study.name,
        configuration=source.configuration.name,
        algorithm=source.configuration.algorithm,
        seed=source.seed,
        epoch=source.epoch,
        strength=source.strength,
        category=scored.category,
        class_name=scored.class_name,
        subclass=scored.subclass,
        prompt_type=scored.prompt_type,
        metric=metric.called,
        encoder=record.name if record else NO_ENCODER,
        resize=record.resize if record else NO_ENCODER,
        value=float(np.mean(value)),
        better=_better(metric, scored),
        n=len(scored.generated),
        fingerprint=fingerprint(metric, record, scored, protocol),
        protocol=protocol,
    )  # fmt: skip


def _better(metric: Metric, scored: ScoredSet) -> str:
    """The metric's direction; reversed for prompts that should not show the concept, where
    likeness to the dataset is a fault."""
    to_dataset = any(row.collection == REFERENCE for row in metric.inputs)
    if to_dataset and prompt_types.TYPES[scored.prompt_type].expects_no_concept:
        return "lower" if metric.better == "higher" else "higher"
    return str(metric.better)
