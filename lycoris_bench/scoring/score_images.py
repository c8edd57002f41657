"""Scores of images without a study: of a folder, or of images in memory, in one call."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import torch

from lycoris_bench.files.identity import uid
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.planning.scored_rows import OUTPUTS
from lycoris_bench.run import environment
from lycoris_bench.scoring import encoders as all_encoders
from lycoris_bench.scoring.encoders.base import Encoder
from lycoris_bench.scoring.encoders.resize import Picture
from lycoris_bench.scoring.given_images import ROLES, GivenInputs, Images, picture
from lycoris_bench.scoring.metrics import METRICS
from lycoris_bench.scoring.metrics.gram_statistics import GramSet

COLUMNS = ["metric", "encoder", "resize", "value", "better", "n", "fingerprint"]


def score_images(
    generated: Images,
    *,
    encoders: Sequence[str],
    reference: Images | None = None,
    prompts: str | Sequence[str] | None = None,
    base: Images | None = None,
    metrics: Sequence[str] | None = None,
    diversity_per_prompt: bool = False,
    device: str = "auto",
    batch_size: int = 16,
    weights: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Evaluates metrics on a set of images: one row a metric and encoder, with columns metric,
    encoder, resize, value, better ("higher" or "lower"), n and fingerprint. Rows of one metric
    compare where their fingerprints agree.

        score_images("drawn", reference="photographs", prompts="a toy on a table",
                     encoders=["dinov2-l", "clip-l-datacomp"])

    Images are a folder, whose files count in the order of their names, or a list of paths, PIL
    images and arrays of uint8 [h, w, 3]. `reference` are real images of what is shown; `base` is
    the base model's image for each of `generated` (of two folders: under the same name);
    `prompts` is a text for each of them, or one for all. Without `metrics`, all whose inputs are
    given are evaluated. Diversity is that of the whole set, or of the images of each prompt.
    `weights` maps an encoder to a file or repository in place of its own weights.

    BenchError: a folder that is missing or holds no image, an image that cannot be read, wrong
    counts, an unknown name, or a metric that lacks an input. MissingWeights: an encoder's weights
    are not on this machine, and how to fetch them."""
    sources = {"generated": generated, "reference": reference, "base": base}
    given = GivenInputs.of(sources, prompts, diversity_per_prompt)
    asked = _asked(encoders, metrics, given)
    device, own = environment.device(device), weights or {}
    scorers = [
        _Scorer(_encoder(spec, device, own.get(spec.partition(":")[0])), suiting, given, batch_size)
        for spec, suiting in asked.items()
    ]
    for roles in (("generated", "base"), ("reference",)):  # pairs are seen together
        shown = {
            role: given.images[role] for role in roles if any(role in s.roles for s in scorers)
        }
        for k in range(0, max(map(len, shown.values()), default=0), batch_size):
            batch = {role: [picture(i) for i in some[k : k + batch_size]]
                     for role, some in shown.items()}  # fmt: skip
            for scorer in scorers:
                scorer.see(batch)
    return pd.DataFrame([row for scorer in scorers for row in scorer.rows()], columns=COLUMNS)


def _asked(
    specs: Sequence[str], names: Sequence[str] | None, given: GivenInputs
) -> dict[str, list[Any]]:
    """Encoder -> the metrics that it serves. BenchError: one of either would be of no use."""
    for keyword, listed in (("encoders", specs), ("metrics", names)):
        if isinstance(listed, str):
            raise BenchError(f"{keyword} is '{listed}'; a list is allowed: ['{listed}']")
    entries = METRICS.entries()
    asked = list(entries) if names is None else list(dict.fromkeys(names))
    lacking = {name: given.lacking(METRICS.get(name)) for name in asked}
    outputs = {spec: all_encoders.record(spec).outputs for spec in specs}
    suiting = {
        spec: [name for name in asked if outputs[spec] in OUTPUTS[entries[name].encoder]]
        for spec in specs
    }
    for name in asked if names is not None else ():
        if why := lacking[name]:
            raise BenchError(f"metric '{name}' {why}")
        if not any(name in some for some in suiting.values()):
            needed = " or ".join(OUTPUTS[entries[name].encoder])
            raise BenchError(f"metric '{name}' needs an encoder of {needed}; encoders= names "
                             f"{', '.join(specs) or 'none'}")  # fmt: skip
    if not specs:
        there = ", ".join(all_encoders.ENCODERS.entries())
        raise BenchError(f"encoders= names no encoder; there are {there}")
    for spec, some in suiting.items():
        if all(lacking[name] for name in some):
            reasons = "; ".join(f"'{name}' {lacking[name]}" for name in some)
            other = f"{', '.join(asked)} need another encoder"
            raise BenchError(f"encoder '{spec}' serves none of the metrics: {reasons or other}")
    return {
        spec: [entries[name] for name in some if not lacking[name]]
        for spec, some in suiting.items()
    }


class _Scorer:
    """One encoder with its metrics, and what it has seen of the images so far."""

    def __init__(
        self, encoder: Encoder, metrics: Sequence[Any], given: GivenInputs, batch_size: int
    ) -> None:
        self.encoder, self.metrics, self.given = encoder, metrics, given
        self.batch_size = batch_size
        self.roles = {name for metric in metrics for name in metric.inputs if name in ROLES}
        self._vectors: dict[str, list[Any]] = {role: [] for role in self.roles}
        self._pooled = {role: GramSet() for role in self.roles}
        self._pairs: dict[str, list[Any]] = {metric.__name__: [] for metric in metrics}

    def see(self, batch: Mapping[str, Sequence[Picture]]) -> None:
        """Encodes the next images of each role."""
        seen: dict[str, Any] = {
            role: self.encoder.encode([self.encoder.prepare(image) for image in images])
            for role, images in batch.items()
            if role in self.roles
        }
        if self.encoder.record.outputs == "gram":
            self._reduce(seen)
            return
        for role, features in seen.items():
            self._vectors[role].append(features.float().cpu().numpy())

    def _reduce(self, grams: Mapping[str, Any]) -> None:
        """Gram matrices are too large to keep: what the metrics need of them is."""
        pooled = {n for metric in self.metrics if metric.pooled for n in metric.inputs}
        for role in pooled & grams.keys():
            self._pooled[role].add(grams[role])
        for metric in self.metrics:
            if not metric.pooled and grams.keys() >= {*metric.inputs}:
                values = metric(**{name: grams[name] for name in metric.inputs})
                self._pairs[metric.__name__].append(values)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """A row for each metric, in the order of COLUMNS."""
        record, n = self.encoder.record, len(self.given.images["generated"])
        for metric in self.metrics:
            against = self.given.identity(metric)
            yield (
                metric.__name__, record.name, record.resize, float(np.mean(self._value(metric))),
                metric.better, n, uid(metric.__name__, metric.version, record.hash, n, against),
            )  # fmt: skip

    def _value(self, metric: Any) -> Any:
        """One number, or one an image."""
        if self.encoder.record.outputs != "gram":
            return metric(**{name: self._input(name) for name in metric.inputs})
        if metric.pooled:
            return metric(**{name: self._pooled[name] for name in metric.inputs})
        return np.concatenate(self._pairs[metric.__name__])

    def _input(self, name: str) -> Any:
        if name == "text":
            return self._texts(self.given.texts or ())
        return np.concatenate(self._vectors[name]) if name in ROLES else self.given.values(name)

    @torch.inference_mode()
    def _texts(self, texts: Sequence[str]) -> Any:
        """[n, d]; a text that several images share is encoded once."""
        own, rows = np.unique(np.array(texts), return_inverse=True)
        size = self.batch_size
        parts = [
            self.encoder.encode_text([str(text) for text in own[k : k + size]])
            for k in range(0, len(own), size)
        ]
        return torch.cat(parts).float().cpu().numpy()[rows]


@lru_cache(maxsize=8)
def _encoder(spec: str, device: str, weights: str | None) -> Encoder:
    """Loaded once, so that many folders may be scored one after the other."""
    return all_encoders.load(spec, device, weights)
