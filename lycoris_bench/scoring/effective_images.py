"""How many images a metric that weighs them rests on."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lycoris_bench.scoring.image_sets import ImageSets
from lycoris_bench.scoring.scorer import Scorer, View

WEIGHTS, REFERENCE = "weights", "reference"


def effective(weights: Any) -> float:
    """(Σ w)² / Σ w²: as many images that all count alike have a mean with the same variance.

    >>> effective([2.0, 2.0, 2.0]), effective([1.0, 0.0]), effective([3.0, 1.0])
    (3.0, 1.0, 1.6)
    """
    weight = np.asarray(weights, dtype="float64")
    return float(weight.sum() ** 2 / np.square(weight).sum())


def effective_images(
    sets: ImageSets, views: Sequence[View], scorers: Sequence[Scorer]
) -> dict[str, list[float]]:
    """Metric, encoder and resizing -> the effective number of drawn images, of dataset images, and
    the width of the features; of the Frechet distance and others of a whole checkpoint's images
    that weigh them."""
    found: dict[str, list[float]] = {}
    for scorer, (encoder, metrics) in zip(scorers, views, strict=True):
        for metric in metrics:
            inputs = {row.name: row for row in metric.inputs}
            if encoder and metric.whole and {WEIGHTS, REFERENCE} <= inputs.keys():
                record = encoder.record
                for scored in sets.of(metric):
                    width = scorer.images(inputs[REFERENCE], scored.reference[:1]).shape[1]
                    name = f"{metric.called}, {record.name}, {record.resize}"
                    found[name] = [*map(effective, scored.weights), width]
    return found
