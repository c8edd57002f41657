"""Evaluates metrics on the image sets of one source, as rows of the metric table."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from lycoris_bench.planning import scored_rows, scored_with
from lycoris_bench.planning.protocol import Cell
from lycoris_bench.scoring.effective_images import effective_images
from lycoris_bench.scoring.encoders.base import Record
from lycoris_bench.scoring.feature_pass import Given, shared_encoder
from lycoris_bench.scoring.fingerprint import fingerprint
from lycoris_bench.scoring.image_sets import REFERENCE, ImageSets
from lycoris_bench.scoring.metrics.base import NO_ENCODER, Metric
from lycoris_bench.scoring.metrics.inputs import ScoredSet
from lycoris_bench.scoring.part_names import HALVES, WITHOUT
from lycoris_bench.scoring.scorer import Array, Scorer, View, scorers
from lycoris_bench.study import prompt_types
from lycoris_bench.study.records import MetricRow

OF_SETS = ("value", "n", "fingerprint", "protocol")  # columns of a set, not of parts of it
Tables = tuple[pd.DataFrame, pd.DataFrame]
"""The rows of a source, and the numbers of its images or halves of sets."""
Parts = list[dict[str, Any]]
Scored = tuple[MetricRow, Parts]
"""A row of the table, and the metric's number for each image, or half of the images, by name; where
it is about one of the dataset's images, that one's content (`nearest`), and `among` how many it is
one."""


def tables_of(
    sets: ImageSets,
    protocols: Mapping[Cell, str],
    device: str,
    drawn: Iterable[tuple[str, Given]] = (),
    whole: bool = False,
) -> Tables:
    """Two tables of one source: a row per metric and image set, and, as each encoder's first
    resizing sees them, one of parts of the sets: each image, for metrics that are means over
    images, else each half; where checkpoints that others trained are compared, also the set without
    each image, for metrics that grow with the number of images. Images that are `drawn` meanwhile
    are not read from their files; with `whole` there are rows of all concepts together alone.

    `protocols`: that of the images of each cell (planning/protocol.py). UnreadableImages: images
    cannot be decoded."""
    rows: list[MetricRow] = []
    numbers: list[dict[str, Any]] = []
    for row, values in _scored(sets, protocols, device, drawn, whole):
        rows.append(row)
        about = {k: v for k, v in row.record().items() if k not in OF_SETS}
        numbers += [{**about, **part} for part in values]
    frame = pd.DataFrame([row.record() for row in rows], columns=MetricRow.columns())
    return frame.astype({"seed": "Int64", "epoch": "Int64"}), _single_precision(numbers)


def _single_precision(numbers: list[dict[str, Any]]) -> pd.DataFrame:
    """They are many, and say how noisy the metric's own number is."""
    frame = pd.DataFrame(numbers)
    return frame.astype({"value": "float32"}) if numbers else frame


def _scored(
    sets: ImageSets,
    protocols: Mapping[Cell, str],
    device: str,
    drawn: Iterable[tuple[str, Given]],
    whole: bool,
) -> Iterator[Scored]:
    """Evaluates, for each encoder and image set, the metrics whose inputs are available."""
    study, store, source = sets.plan.study, sets.store, sets.source
    scoring, compares = study.settings.scoring, bool(study.given)
    views: list[View] = [
        (shared_encoder(spec, device, scoring.weights_of(spec)), scored_rows.suiting(study, spec))
        for spec in scoring.encoders
    ]
    records = [encoder.record for encoder, _ in views if encoder]
    scored_rows.keep(store, records)
    views.append((None, scored_rows.without_encoder(study)))
    if whole:
        views = [(encoder, [m for m in metrics if m.whole]) for encoder, metrics in views]
    evaluated = scorers(sets, views, drawn)
    if sets.part is None:
        images = effective_images(sets, views, evaluated)
        scored_with.keep(store, source, device, records, images)
    first = {record.name: record for record in reversed(records)}
    for scorer, (encoder, metrics) in zip(evaluated, views, strict=True):
        record = None if encoder is None else encoder.record
        in_parts = record is None or record == first[record.name]
        for scored in sets.all:
            for metric in metrics:
                if scored in sets.of(metric):
                    value = scorer.value(metric, scored)
                    row = _row(sets, record, metric, scored, value, protocols[scored.cell])
                    yield row, _parts(scorer, metric, scored, value, compares) if in_parts else []


def _parts(
    scorer: Scorer, metric: Metric, scored: ScoredSet, value: float | Array, leave_out: bool
) -> Parts:
    """The numbers of images, or of halves of the set; with `leave_out` also of the set without each
    image."""
    if not isinstance(value, np.ndarray):
        of_sets = dict(zip(HALVES, scorer.of_parts(metric, scored.halves()), strict=False))
        if leave_out and metric.equal_n:
            names = [f"{WITHOUT}{path.name}" for _, path in scored.generated]
            rests = scorer.of_parts(metric, scored.without_each())
            of_sets |= dict(zip(names, rests, strict=False))
        return [{"image": name, "value": number} for name, number in of_sets.items()]
    numbers = zip(scored.generated, value.tolist(), strict=True)
    parts: Parts = [{"image": path.name, "value": number} for (_, path), number in numbers]
    for part, (content, _) in zip(parts, scorer.partners(metric, scored), strict=False):
        part |= {"nearest": content, "among": len({uid for uid, _ in scored.reference})}
    return parts


def _row(
    sets: ImageSets,
    record: Record | None,
    metric: Metric,
    scored: ScoredSet,
    value: float | Array,
    protocol: str,
) -> MetricRow:
    """One row of the metric table: a metric's mean value and all that it depends on."""
    source = sets.source
    return MetricRow(
        study=sets.plan.study.name,
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
