"""What one encoder sees of one checkpoint: the inputs that metrics ask for by name.

Embeddings are stored, and any metric may ask for them later. Gram matrices are reduced while the
images pass. Either sight says whom to show the images of a branch (`viewers`), and afterwards
gives the value of a metric on an image set."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from lycoris_bench.encoders.base import Encoder
from lycoris_bench.features import Embedder, Viewer, look, threads_for
from lycoris_bench.gram_views import Pairs, Pools
from lycoris_bench.metrics.gram_sets import GramSet
from lycoris_bench.sets import ROLES, Array, Key, Sets
from lycoris_bench.vocabulary import Concept

_pooled: dict[tuple[Any, ...], GramSet] = {}  # of the dataset, once a process


class Embeddings:
    """The sight of an encoder whose features are vectors."""

    def __init__(self, sets: Sets, seer: Encoder, metrics: Sequence[Any]) -> None:
        self.sets, self.seer, self.metrics = sets, seer, metrics
        self.batch_size = sets.plan.study.settings.scoring.batch_size
        asked = {name for metric in metrics if sets.keys(metric) for name in metric.inputs}
        by_branch: dict[Any, Embedder] = {}
        self._views: dict[str, Embedder] = {}
        for role in asked & set(ROLES):
            branch = sets.branch(role)
            if branch not in by_branch:
                by_branch[branch] = Embedder(
                    sets.store, branch, seer, sets.all(role), self.batch_size
                )
            self._views[role] = by_branch[branch]

    def viewers(self, role: str) -> list[Viewer]:
        """Who wants to see the images of a role, if what is seen is not stored."""
        return [self._views[role]] if role in self._views else []

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

    def viewers(self, role: str) -> list[Viewer]:
        """Who wants to see the images of a role. The base model's are read beside their pair."""
        if role == "generated":
            return [self._pairs, self._generated]
        return [self._reference] if role == "reference" else []

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
    made: list[Sight] = [
        (Grams if seer.record.outputs == "gram" else Embeddings)(sets, seer, metrics)
        for seer, metrics in seers
    ]
    devices = [seer.device.type for seer, _ in seers]
    threads = max((threads_for(device) for device in devices), default=0)
    for role in ROLES:
        look(sets.all(role), [v for sight in made for v in sight.viewers(role)], threads)
    return made
