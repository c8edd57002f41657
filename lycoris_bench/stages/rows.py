"""Evaluates metrics on the images of one checkpoint, the base model or real images, as rows of the
metric table."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.planning import scored_rows, scored_with
from lycoris_bench.planning.parts import Part
from lycoris_bench.planning.plan import Plan
from lycoris_bench.planning.protocol import protocols
from lycoris_bench.planning.status import Status
from lycoris_bench.run import passing
from lycoris_bench.run.store import Store
from lycoris_bench.scoring.effective_images import effective_images
from lycoris_bench.scoring.encoders.base import Record
from lycoris_bench.scoring.feature_pass import Given, UnreadableImages, shared_encoder
from lycoris_bench.scoring.fingerprint import fingerprint
from lycoris_bench.scoring.image_sets import REFERENCE, image_sets
from lycoris_bench.scoring.metrics.base import NO_ENCODER, Metric
from lycoris_bench.scoring.metrics.inputs import ScoredSet
from lycoris_bench.scoring.scorer import Array, Scorer, View, scorers
from lycoris_bench.study import prompt_types
from lycoris_bench.study.records import BASE_CHECKPOINT, Checkpoint, MetricRow, Source

OF_SETS = ("value", "n", "fingerprint", "protocol")  # columns of a set, not of parts of it


class DamagedImages(BenchError):
    """Images of the run cannot be decoded and were set aside."""


Tables = tuple[pd.DataFrame, pd.DataFrame]
"""The rows of a source, and the numbers of its images or halves of sets."""


def put_rows(
    plan: Plan, store: Store, source: Source, tables: Tables, part: Part | None = None
) -> None:
    """Stores the tables of a source, or of a part of it; the rows last, which mark it as done."""
    branch, rows, kind = store.branch(source), tables[0], f"-{part.name}" if part else ""
    store.put_frame(store.metrics(branch, f"{kind}-images"), tables[1])
    store.put_frame(store.metrics(branch, kind), rows, scored_rows.inputs(plan, store, source))
    if isinstance(source, Checkpoint) and not part:
        passing.remove_parts(store, source)


def score_tables(
    plan: Plan,
    store: Store,
    source: Source,
    device: str,
    drawn: Iterable[tuple[str, Given]] = (),
    part: Part | None = None,
    whole: bool = False,
) -> Tables:
    """Two tables of one checkpoint or of real images: a row per metric and image set, and, as each
    encoder's first resizing sees them, one of parts of the sets: each image, for metrics that are
    means over images, else each half. Images that are `drawn` meanwhile are not read from their
    files.

    Of a `part` of a checkpoint they have no rows of all concepts together; with `whole` they have
    those alone."""
    rows: list[MetricRow] = []
    numbers: list[dict[str, Any]] = []
    with _damaged_set_aside(plan, store, source):
        for row, values in _scored(plan, store, source, device, drawn, part, whole):
            rows.append(row)
            about = {k: v for k, v in row.record().items() if k not in OF_SETS}
            numbers += [{**about, "image": name, "value": number} for name, number in values]
    frame = pd.DataFrame([row.record() for row in rows], columns=MetricRow.columns())
    return frame.astype({"seed": "Int64", "epoch": "Int64"}), _single_precision(numbers)


def _single_precision(numbers: list[dict[str, Any]]) -> pd.DataFrame:
    """They are many, and say how noisy the metric's own number is."""
    frame = pd.DataFrame(numbers)
    return frame.astype({"value": "float32"}) if numbers else frame


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
    plan: Plan,
    store: Store,
    source: Source,
    device: str,
    drawn: Iterable[tuple[str, Given]],
    part: Part | None,
    whole: bool,
) -> Iterator[Scored]:
    """Evaluates, for each encoder and image set, the metrics whose inputs are available."""
    sets, scoring = image_sets(plan, store, source, part), plan.study.settings.scoring
    views: list[View] = [
        (shared_encoder(spec, device, scoring.weights_of(spec)), scored_rows.suiting(plan, spec))
        for spec in scoring.encoders
    ]
    records = [encoder.record for encoder, _ in views if encoder]
    scored_rows.keep(store, records)
    views.append((None, scored_rows.without_encoder(plan)))
    if whole:
        views = [(encoder, [m for m in metrics if m.whole]) for encoder, metrics in views]
    protocol, evaluated = protocols(plan, source), scorers(sets, views, drawn)
    if part is None:
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
        second=scored.second,
    )  # fmt: skip


def _better(metric: Metric, scored: ScoredSet) -> str:
    """The metric's direction; reversed for prompts that should not show the concept, where
    likeness to the dataset is a fault."""
    to_dataset = any(row.collection == REFERENCE for row in metric.inputs)
    if to_dataset and prompt_types.TYPES[scored.prompt_type].expects_no_concept:
        return "lower" if metric.better == "higher" else "higher"
    return str(metric.better)
