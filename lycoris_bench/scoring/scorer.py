"""Evaluates metrics on the image sets of one source, for each encoder."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lycoris_bench.planning import scored_rows
from lycoris_bench.planning.plan import Plan
from lycoris_bench.run.store import Store
from lycoris_bench.scoring.embeddings import Embedders, Embeddings
from lycoris_bench.scoring.encoders.base import Encoder
from lycoris_bench.scoring.feature_pass import Given, feature_pass, threads_for
from lycoris_bench.scoring.gram_features import Grams
from lycoris_bench.scoring.image_sets import (
    COLLECTIONS,
    GENERATED,
    ImageSets,
    image_sets,
    suits,
)
from lycoris_bench.scoring.metric_values import finite, numbers, place
from lycoris_bench.scoring.metrics import DEFAULT, chosen
from lycoris_bench.scoring.metrics.base import OUTPUTS
from lycoris_bench.scoring.metrics.inputs import Input, Item, ScoredSet
from lycoris_bench.scoring.readings import Readings
from lycoris_bench.study.records import BASE_CHECKPOINT

Array = np.ndarray[Any, Any]
View = tuple[Encoder | None, Sequence[Any]]
"""An encoder, or none, and the metrics that are evaluated with it."""


class Scorer:
    """Evaluates metrics on one encoder's features of one source, and on readings of its images."""

    def __init__(self, encoded: Embeddings | Grams | Readings, readings: Readings) -> None:
        self.encoded, self.readings = encoded, readings

    def value(self, metric: Any, scored: ScoredSet) -> float | Array:
        """The value of a metric on an image set: one number, or one per image. BenchError: it
        gives anything else, or a number that is not finite."""
        where = place(scored)
        if isinstance(self.encoded, Grams) and metric.paired:
            return finite(metric, self.encoded.paired(metric, scored), where)
        given = self._given(metric, scored)
        value = numbers(metric, lambda: metric(**given), len(scored.generated), where)
        return finite(metric, value, where)

    def _given(self, metric: Any, scored: ScoredSet) -> dict[str, Any]:
        return {row.name: row.of(scored, self) for row in metric.inputs}

    def partners(self, metric: Any, scored: ScoredSet) -> list[Item]:
        """The dataset's image that each generated image's number is about; none where a metric says
        nothing of one."""
        if metric.partners is None:
            return []
        rows = metric.partners(**self._given(metric, scored))
        return [scored.reference[row] for row in rows]

    def of_parts(self, metric: Any, parts: Iterable[ScoredSet]) -> list[float]:
        """The values of a metric of sets on parts of an image set; none where a part has none, or
        statistics were collected of the whole alone."""
        parts = list(parts)
        if metric.whole or metric.pooled or not all(suits(metric, part) for part in parts):
            return []
        return [float(np.mean(self.value(metric, part))) for part in parts]

    def images(self, row: Input, images: Sequence[Item]) -> Any:
        """The features or readings of images that a metric takes."""
        return (self.encoded if row.is_encoded else self.readings).images(row, images)

    def texts(self, texts: Sequence[str]) -> Any:
        """The features of texts that a metric takes."""
        return self.encoded.texts(texts)


def scorers(
    sets: ImageSets, views: Sequence[View], drawn: Iterable[tuple[str, Given]] = ()
) -> list[Scorer]:
    """Runs one pass over all images, of which some are `drawn` meanwhile, and returns the scorer
    of each view."""
    embedders = Embedders(sets)
    asked = [metric for _, metrics in views for metric in metrics if sets.of(metric)]
    readings = Readings(sets, asked)

    def encoded(encoder: Encoder | None, metrics: Sequence[Any]) -> Embeddings | Grams | Readings:
        if encoder is None:
            return readings
        if encoder.record.outputs == "gram":
            return Grams(sets, encoder, metrics)
        return Embeddings(sets, encoder, metrics, embedders)

    all_scorers = [Scorer(encoded(encoder, metrics), readings) for encoder, metrics in views]
    consumers = [c for scorer in all_scorers for c in scorer.encoded.consumers] + readings.consumers
    needed = {row.collection for metric in asked for row in metric.inputs if row.is_encoded}
    if drawn:  # in the order in which they are drawn, whoever needs them
        needed.add(GENERATED)
    items = [i for name in COLLECTIONS if name in needed for i in sets.collection(name).items]
    threads = max((threads_for(encoder.device.type) for encoder, _ in views if encoder), default=0)
    once = list({id(consumer): consumer for consumer in consumers}.values())
    feature_pass([*items, *readings.items], once, threads, drawn)
    return all_scorers


def without_number(plan: Plan, store: Store) -> list[str]:
    """A sentence for each metric that the study names but that has no value in it."""
    named = [name for name in plan.study.settings.scoring.metrics if name != DEFAULT]
    if not named:
        return []
    problems = []
    sets = image_sets(plan, store, BASE_CHECKPOINT)
    specs = plan.study.settings.scoring.encoders
    seen = {metric for spec in specs for metric in scored_rows.suiting(plan.study, spec)}
    for metric in chosen(named):
        if metric.encoder and metric not in seen:
            needed = " or ".join(OUTPUTS[metric.encoder])
            problems.append(
                f"metric '{metric.__name__}' needs an encoder of {needed}; 'scoring.encoders' "
                f"names none: {', '.join(specs)}"
            )
        elif not sets.of(metric):
            problems.append(
                f"metric '{metric.__name__}' can give no number in this study: it needs "
                f"{_needs(metric, sets)}; leave it out of 'scoring.metrics'"
            )
    return problems


def _needs(metric: Any, sets: ImageSets) -> str:
    """What the image sets lack for a metric to have a value, as the rest of a sentence."""
    found = sets.whole if metric.whole else sets.single
    asked = [s for s in found if s.prompt_type in (metric.prompt_types or (s.prompt_type,))]
    if not asked:
        return f"prompts of {' or '.join(metric.prompt_types)}"
    meant = [s for s in asked if s.kind in (metric.kinds or (s.kind,))]
    if not meant:
        return f"concepts of kind {' or '.join(metric.kinds)}"
    rows = [row for row in metric.inputs if row.needs]
    lacking = [row for row in rows if not any(map(row.available, meant))]
    return ", ".join(dict.fromkeys(row.needs for row in lacking or rows))
