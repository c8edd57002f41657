"""Scores a folder of images, or images in memory, in one call and without a study."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from lycoris_bench.messages.arguments import COUNT, NAMES, PATH, SWITCH, TABLE, TEXT, Allowed
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.suggestions import unknown
from lycoris_bench.run import environment
from lycoris_bench.scoring import encoders as all_encoders
from lycoris_bench.scoring.encoders.base import Encoder
from lycoris_bench.scoring.feature_pass import shared_encoder
from lycoris_bench.scoring.fingerprint import fingerprint
from lycoris_bench.scoring.given_images import GivenImages, Images
from lycoris_bench.scoring.metric_values import Array, finite, numbers, place
from lycoris_bench.scoring.metrics import DEFAULT, METRICS, chosen
from lycoris_bench.scoring.metrics.base import NO_ENCODER, OUTPUTS, Metric
from lycoris_bench.scoring.metrics.gram_statistics import GramSet
from lycoris_bench.scoring.metrics.inputs import Input, Item

COLUMNS = ["metric", "encoder", "resize", "value", "better", "n", "fingerprint"]
METRIC_NAMES = Allowed("a list of names", lambda value: NAMES.holds(value) and len(value) > 0)
View = tuple[str | None, list[Metric]]
"""An encoder, or none, and the metrics that are evaluated with it."""


def score_images(
    generated: Images,
    *,
    encoders: Sequence[str] = (),
    reference: Images | None = None,
    prompts: str | Sequence[str] | None = None,
    base: Images | None = None,
    metrics: Sequence[str] | None = None,
    diversity_per_prompt: bool = False,
    device: str = "auto",
    batch_size: int = 16,
    weights: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Evaluates metrics on a set of images: one row per metric and encoder, with columns metric,
    encoder, resize, value, better ("higher" or "lower"), n and fingerprint. Values of a metric are
    comparable where their fingerprints agree.

        score_images("drawn", reference="photographs", prompts="a toy on a table",
                     encoders=["dinov2-l", "clip-l-datacomp"])

    Images are a folder, read in the order of file names, a list of paths, PIL images and uint8
    arrays [h, w, 3], or a uint8 array [n, h, w, 3]. `reference` are real images of the concept;
    `base` has the base model's image for each of `generated` (in folders: under the same name);
    `prompts` is a text per image, or one for all. Without `metrics`, all metrics whose inputs are
    given are evaluated; an encoder that serves none of them is then left out with a warning, where
    another serves one. Diversity is computed over the whole set or, with `diversity_per_prompt`,
    per prompt. `weights` maps an encoder to a file or repository in place of its own weights.

    BenchError: an argument of another type or range, a folder is missing or holds no image, an
    image cannot be read, counts differ, a name is unknown, or a metric lacks an input.
    MissingWeights: an encoder's weights are not on this machine; the message says how to fetch
    them. Warns of what is left out of a folder, and of weights that may change on the hub."""
    NAMES.check("encoders", encoders)
    METRIC_NAMES.or_none().check("metrics", metrics)
    SWITCH.check("diversity_per_prompt", diversity_per_prompt)
    TEXT.check("device", device)
    COUNT.check("batch_size", batch_size)
    TABLE.or_none().check("weights", weights)
    own = _own_weights(encoders, weights or {})
    given = GivenImages.of(generated, reference, base, prompts, diversity_per_prompt)
    asked = _asked(encoders, metrics, given)
    device = environment.device(device)
    rows: list[tuple[Any, ...]] = []
    for spec, suiting in asked:
        file = own.get(spec.partition(":")[0]) if spec else None
        encoder = shared_encoder(spec, device, file) if spec else None
        rows += _View(encoder, given, int(batch_size)).rows(suiting)
    for said in all_encoders.unpinned([spec for spec, _ in asked if spec], own):
        warnings.warn(said, stacklevel=2)
    return pd.DataFrame(rows, columns=COLUMNS)


def _own_weights(specs: Sequence[str], weights: Mapping[str, str]) -> dict[str, str]:
    """Encoder -> its other weights. BenchError: it is none of those that are asked for."""
    asked = {spec.partition(":")[0] for spec in specs}
    for name, file in weights.items():
        if name not in asked:
            raise BenchError(f"weights: {unknown('encoder of encoders=', name, asked)}")
        PATH.check(f"weights['{name}']", file)
    return {name: str(file) for name, file in weights.items()}


def _asked(specs: Sequence[str], names: Sequence[str] | None, given: GivenImages) -> list[View]:
    """Each encoder, once, with the metrics that it serves. BenchError: an encoder serves none, or a
    named metric has no encoder or lacks an input."""
    specs = list({all_encoders.record(spec): spec for spec in specs}.values())
    named: list[Metric] = [METRICS.get(n) for n in dict.fromkeys(names or ()) if n != DEFAULT]
    others = chosen(()) if DEFAULT in (names or [DEFAULT]) else []
    asked = list(dict.fromkeys([*named, *others]))
    lacking = {metric.__name__: given.lacking(metric) for metric in asked}
    outputs = {spec: all_encoders.record(spec).outputs for spec in specs}
    views: list[View] = [
        (spec, [m for m in asked if m.encoder and outputs[spec] in OUTPUTS[m.encoder]])
        for spec in specs
    ]
    views.append((None, [metric for metric in asked if metric.encoder is None]))
    served = {metric.__name__ for _, suiting in views for metric in suiting}
    for metric in named:
        if why := lacking[metric.__name__]:
            raise BenchError(f"metric '{metric.__name__}' {why}")
        if metric.encoder and metric.__name__ not in served:
            raise BenchError(
                f"metric '{metric.__name__}' needs an encoder of "
                f"{' or '.join(OUTPUTS[metric.encoder])}; encoders= names "
                f"{', '.join(specs) or 'none'}"
            )
    usable = [(spec, [m for m in some if not lacking[m.__name__]]) for spec, some in views]
    if not specs and not usable[-1][1]:
        there = ", ".join(all_encoders.ENCODERS.entries())
        raise BenchError(f"encoders= names no encoder; there are {there}")
    any_use = any(useful for spec, useful in usable if spec)
    for (spec, useful), (_, suiting) in zip(usable, views, strict=True):
        if spec and not useful:
            reasons = "; ".join(f"'{m.__name__}' {lacking[m.__name__]}" for m in suiting)
            other = f"another encoder is needed for {', '.join(lacking)}"
            said = f"encoder '{spec}' serves none of the metrics: {reasons or other}"
            if named or not any_use:
                raise BenchError(said)
            warnings.warn(said, stacklevel=3)
    return [(spec, useful) for spec, useful in usable if useful]


class _View:
    """The features of the given images by one encoder, or their readings without one
    (`inputs.Features`)."""

    def __init__(self, encoder: Encoder | None, given: GivenImages, batch_size: int) -> None:
        self.encoder, self.given, self.batch_size = encoder, given, batch_size
        self._vectors: dict[str, Any] = {}

    def rows(self, metrics: Sequence[Metric]) -> Iterator[tuple[Any, ...]]:
        """A row for each metric, in the order of COLUMNS."""
        scored, record = self.given.scored, self.encoder.record if self.encoder else None
        name, resize = (record.name, record.resize) if record else (NO_ENCODER, NO_ENCODER)
        for metric in metrics:
            n = len(scored.generated)
            value = finite(metric, self._value(metric, place(scored)), place(scored))
            yield (metric.__name__, name, resize, float(np.mean(value)), metric.better, n,
                   fingerprint(metric, record, scored))  # fmt: skip

    def _value(self, metric: Metric, where: str) -> float | Array:
        scored = self.given.scored
        if metric.paired:
            return self._paired(metric, where)
        given = {row.name: row.of(scored, self) for row in metric.inputs}
        return numbers(metric, lambda: metric(**given), len(scored.generated), where)

    def images(self, row: Input, images: Sequence[Item]) -> Any:
        """The features of images, or what `Input.read` gives, as metrics take them."""
        if row.read is not None:
            return [row.read(self.given.picture(item)) for item in images]
        if self.encoder and self.encoder.record.outputs == "gram":
            pooled = GramSet()
            for grams in self._encoded(images):
                pooled.add(grams)
            return pooled
        lacking = [item for item in dict(images).items() if item[0] not in self._vectors]
        vectors = [features.float().cpu().numpy() for features in self._encoded(lacking)]
        rows = np.concatenate(vectors) if vectors else ()
        self._vectors.update(zip((uid for uid, _ in lacking), rows, strict=True))
        return np.stack([self._vectors[uid] for uid, _ in images])

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Any:
        """The features [n, d] of texts; a text that several images share is encoded once."""
        assert self.encoder is not None
        once, size = sorted(set(texts)), self.batch_size
        parts = [self.encoder.encode_texts(once[k : k + size]) for k in range(0, len(once), size)]
        return torch.cat(parts).float().cpu().numpy()[[once.index(text) for text in texts]]

    def _paired(self, metric: Metric, where: str) -> Array:
        """A number for each pair of an image and the base model's, in batches of equal shapes."""
        scored = self.given.scored
        pairs = zip(self._encoded(scored.generated), self._encoded(scored.base), strict=True)
        found = [
            numbers(metric, partial(metric, grams, others), len(grams[0]), where)
            for grams, others in pairs
        ]
        return np.concatenate(found)

    def _encoded(self, images: Sequence[Item]) -> Iterator[Any]:
        """The encoder's output for the images, batch by batch."""
        assert self.encoder is not None
        for k in range(0, len(images), self.batch_size):
            batch = [self.given.picture(item) for item in images[k : k + self.batch_size]]
            yield self.encoder.encode([self.encoder.prepare(image) for image in batch])
