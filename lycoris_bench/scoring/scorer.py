"""What one encoder sees of one checkpoint: the inputs that metrics ask for by name.

Embeddings are stored, and any metric may ask for them later. Gram matrices are reduced while the
images pass. Either sight says whom to show the images (`viewers`), and afterwards gives the value
of a metric on an image set."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from lycoris_bench.planning import scored_rows
from lycoris_bench.planning.plan import Plan
from lycoris_bench.run.store import Store
from lycoris_bench.scoring.encoders.base import Encoder
from lycoris_bench.scoring.feature_pass import Embedder, Viewer, look, threads_for
from lycoris_bench.scoring.gram_features import Pairs, Pools
from lycoris_bench.scoring.image_sets import ROLES, Array, Key, Sets
from lycoris_bench.scoring.metrics.gram_statistics import GramSet
from lycoris_bench.study.records import BASE_CHECKPOINT, Concept

_pooled: dict[tuple[Any, ...], GramSet] = {}  # of the dataset, once a process


class Embedders:
    """The embedders of a checkpoint's encoders, by branch and by what the network sees: several
    resizings of square images are the same pixels, and are encoded once."""

    def __init__(self, sets: Sets) -> None:
        self.sets = sets
        self._made: dict[tuple[Any, ...], Embedder] = {}

    def of(self, role: str, seer: Encoder) -> Embedder:
        """Shared by all that see the same; the first one's resizing names what is stored."""
        record = seer.record
        what = replace(record, resize="") if self.sets.square(role) else record
        key = (self.sets.branch(role), what)
        if key not in self._made:
            self._made[key] = Embedder(
                self.sets.store, self.sets.branch(role), seer, self.sets.all(role),
                self.sets.plan.study.settings.scoring.batch_size,
            )  # fmt: skip
        return self._made[key]


class Embeddings:
    """The sight of an encoder whose features are vectors."""

    def __init__(
        self, sets: Sets, seer: Encoder, metrics: Sequence[Any], embedders: Embedders
    ) -> None:
        self.sets, self.seer, self.metrics = sets, seer, metrics
        self.batch_size = sets.plan.study.settings.scoring.batch_size
        asked = {name for metric in metrics if sets.keys(metric) for name in metric.inputs}
        self._views = {role: embedders.of(role, seer) for role in ROLES if role in asked}

    @property
    def viewers(self) -> list[Viewer]:
        """Who wants to see the images, if what is seen is not stored."""
        return list(self._views.values())

    def value(self, metric: Any, concept: Concept, kind: str) -> float | Array:
        """The metric of an image set: a number, or one number an image."""
        value: float | Array = metric(
            **{name: self._input(name, concept, kind) for name in metric.inputs}
        )
        return value

    def _input(self, name: str, concept: Concept, kind: str) -> Any:
        if name == "groups":
            return self.sets.groups(concept, kind)
        if name == "weights":
            return self.sets.weights(kind)
        if name == "text":
            return np.stack([self._texts[job.text] for job in self.sets.jobs[concept, kind]])
        seen = self._views[name].seen
        return np.stack([seen[uid] for uid, _ in self.sets.items(name, concept, kind)])

    @cached_property
    @torch.inference_mode()
    def _texts(self) -> dict[str, Array]:
        jobs = (job for jobs in self.sets.jobs.values() for job in jobs)
        texts = sorted({job.text for job in jobs if job.text})
        size = self.batch_size
        parts = [self.seer.encode_text(texts[k : k + size]) for k in range(0, len(texts), size)]
        return dict(zip(texts, torch.cat(parts).float().cpu().numpy(), strict=True))


class Grams:
    """The sight of an encoder whose features are Gram matrices."""

    def __init__(self, sets: Sets, seer: Encoder, metrics: Sequence[Any]) -> None:
        self.sets, self.seer = sets, seer
        size = sets.plan.study.settings.scoring.batch_size
        paired = [metric for metric in metrics if not metric.pooled]
        others = {
            uid: base
            for metric in paired
            for key in sets.keys(metric)
            for (uid, _), (_, base) in zip(
                sets.items("generated", *key), sets.items("base", *key), strict=True
            )
        }
        pooled = [key for metric in metrics if metric.pooled for key in sets.keys(metric)]
        self._pairs = Pairs(seer, paired, others, size)
        self._generated = Pools(seer, {key: self._uids("generated", *key) for key in pooled}, size)
        self._keys = {key: (seer.record.hash, *self._uids("reference", *key)) for key in pooled}
        lacking = {name: name[1:] for name in self._keys.values() if name not in _pooled}
        self._reference = Pools(seer, lacking, size)

    def _uids(self, name: str, *key: Any) -> list[str]:
        return [uid for uid, _ in self.sets.items(name, *key)]

    @property
    def viewers(self) -> list[Viewer]:
        """Who wants to see the images. The base model's are read beside their pair."""
        return [self._pairs, self._generated, self._reference]

    def value(self, metric: Any, concept: Concept, kind: str) -> float | Array:
        """The metric of an image set: a number, or one number an image."""
        key: Key = (concept, kind)
        if not metric.pooled:
            uids = self._uids("generated", *key)
            return np.array([self._pairs.values[metric.__name__, uid] for uid in uids])
        _pooled.update(self._reference.pools)
        value: float = metric(self._generated.pools[key], _pooled[self._keys[key]])
        return value


Sight = Embeddings | Grams


def sights(sets: Sets, seers: Sequence[tuple[Encoder, Sequence[Any]]]) -> list[Sight]:
    """The sight of each encoder with its metrics, once all have seen all images in one pass."""
    embedders = Embedders(sets)
    made: list[Sight] = [
        Grams(sets, seer, metrics)
        if seer.record.outputs == "gram"
        else Embeddings(sets, seer, metrics, embedders)
        for seer, metrics in seers
    ]
    viewers = {id(viewer): viewer for sight in made for viewer in sight.viewers}
    threads = max((threads_for(seer.device.type) for seer, _ in seers), default=0)
    items = [item for role in ROLES for item in sets.all(role)]
    look(items, list(viewers.values()), threads)
    return made


def without_number(plan: Plan, store: Store) -> list[str]:
    """A sentence for each metric that the study names and that could give no number in it."""
    said = []
    sets = Sets(plan, store, BASE_CHECKPOINT)
    specs = plan.study.settings.scoring.encoders
    seen = {id(metric) for spec in specs for metric in scored_rows.suiting(plan, spec)}
    for metric in scored_rows.metrics(plan) if plan.study.settings.scoring.metrics else ():
        if id(metric) not in seen:
            needed = " or ".join(scored_rows.OUTPUTS[metric.encoder])
            said.append(
                f"metric '{metric.__name__}' needs an encoder of {needed}; 'scoring.encoders' "
                f"names none: {', '.join(specs)}"
            )
        elif not sets.keys(metric):
            said.append(
                f"metric '{metric.__name__}' can give no number in this study: it needs "
                f"{_needs(metric)}"
            )
    return said


def _needs(metric: Any) -> str:
    kinds = f"prompts of {' or '.join(metric.prompt_types)}, " if metric.prompt_types else ""
    where = f"concepts of {' or '.join(metric.categories)}, " if metric.categories else ""
    several = "weights" in metric.inputs or "groups" in metric.inputs
    what = ", ".join(name for name in metric.inputs if name in ("reference", "base", "text"))
    images = "sampling.images of 2 or more, " if several else ""
    return f"{kinds}{where}{images}" + (f"images to be held against ({what})" if what else "")
