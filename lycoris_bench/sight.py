"""What one encoder sees of one checkpoint: the inputs that metrics ask for by name."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lycoris_bench import prompts
from lycoris_bench.diffusion.dataset import Example
from lycoris_bench.encoders.base import Encoder, Record
from lycoris_bench.features import Item, encode, features
from lycoris_bench.plan import Job, Plan
from lycoris_bench.store import Store
from lycoris_bench.vocabulary import BASE_CHECKPOINT, REAL, Checkpoint, Concept

Array = np.ndarray[Any, Any]


class Sight:
    """Image sets of a checkpoint (None: the held-out real images) through one encoder.

    Embeddings are cached by the feature store. Gram matrices are too large to keep: they are
    made batch by batch and reduced to one number an image at once (performance rule)."""

    def __init__(
        self, plan: Plan, store: Store, seer: Encoder, checkpoint: Checkpoint | None
    ) -> None:
        self.plan, self.store, self.seer, self.checkpoint = plan, store, seer, checkpoint
        self.record: Record = seer.record
        self.jobs = by_set(plan.jobs(checkpoint)) if checkpoint else {}
        self.batch_size = plan.study.settings.scoring.batch_size

    @property
    def sets(self) -> list[tuple[Concept, str]]:
        """(concept, prompt type) of every image set. Real images stand in wherever images are
        compared with the dataset."""
        asked = [(p.concept, p.prompt_type) for p in self.plan.prompt_sets]
        if self.checkpoint:
            return asked
        return [
            (concept, kind)
            for concept, kind in asked
            if prompts.TYPES[kind].compared_with == "reference" and self.generated(concept, kind)
        ]

    def has(self, inputs: Iterable[str], concept: Concept, kind: str) -> bool:
        """Whether all inputs exist for this image set; else the cell is absent."""
        return all(self._has(name, concept, kind) for name in inputs)

    def _has(self, name: str, concept: Concept, kind: str) -> bool:
        row = prompts.TYPES[kind]
        if name in ("reference", "base"):
            return row.compared_with == name
        if name == "generated":
            return True
        if self.checkpoint is None:
            return False  # real images have no prompts, and another number than the sets drawn
        jobs = self.jobs[concept, kind]
        if name == "text":  # a style has no plain words of its own
            return self.record.outputs == "image+text" and all(job.text for job in jobs)
        # Diversity inside groups of one image says nothing.
        return name == "groups" and max(np.bincount(self.groups(concept, kind))) > 1

    def value(self, metric: Any, concept: Concept, kind: str) -> float | Array:
        """The metric of an image set: a number, or one number an image."""
        if self.record.outputs == "gram":
            streams = [
                encode(
                    self.seer,
                    [path for _, path in self.items(name, concept, kind)],
                    self.batch_size,
                )
                for name in metric.inputs
            ]
            return np.concatenate([metric(*batch) for batch in zip(*streams, strict=True)])
        inputs = {name: self._input(name, concept, kind) for name in metric.inputs}
        return metric(**inputs)

    def _input(self, name: str, concept: Concept, kind: str) -> Array:
        if name == "groups":
            return self.groups(concept, kind)
        if name == "text":
            return np.stack([self._texts[job.text] for job in self.jobs[concept, kind]])
        seen = {"reference": self._reference, "base": self._base}.get(name, self._generated)
        return np.stack([seen[uid] for uid, _ in self.items(name, concept, kind)])

    # ---- which images

    def items(self, name: str, concept: Concept, kind: str) -> list[Item]:
        if name == "reference":
            return self.reference(concept)
        if name == "base":
            return self._stored(self._base_jobs[concept, kind])
        return self.generated(concept, kind)

    def generated(self, concept: Concept, kind: str) -> list[Item]:
        if self.checkpoint:
            return self._stored(self.jobs[concept, kind])
        if self.plan.heldout:
            return _files(self.plan.heldout.of(concept))
        return _files(self.plan.data.of(concept)[1::2])

    def reference(self, concept: Concept) -> list[Item]:
        """The dataset's images; where none are held out, real is compared half with half."""
        halved = self.checkpoint is None and not self.plan.heldout
        return _files(self.plan.data.of(concept)[:: 2 if halved else 1])

    def held_against(self, metric: Any, concept: Concept, kind: str) -> list[Any]:
        """Identity of what the generated images are held against: only numbers that agree in
        it may be ranked together."""
        identity: list[Any] = []
        for name in metric.inputs:
            if name in ("reference", "base"):
                identity.append([content for content, _ in self.items(name, concept, kind)])
            elif name == "text":
                identity.append([job.text for job in self.jobs[concept, kind]])
            elif name == "groups":
                identity.append(self.groups(concept, kind).tolist())
        return identity

    def groups(self, concept: Concept, kind: str) -> Array:
        per_prompt = prompts.TYPES[kind].per_prompt
        return np.array([job.group if per_prompt else 0 for job in self.jobs[concept, kind]])

    def _stored(self, jobs: list[Job]) -> list[Item]:
        return [(job.uid, self.store.image(job.image_set, job.k)) for job in jobs]

    # ---- what is seen of them: uid -> features

    def _see(self, branch: Path, items: Iterable[Item]) -> dict[str, Array]:
        unique = dict(items)
        seen = features(self.store, branch, self.seer, list(unique.items()), self.batch_size)
        return dict(zip(unique, seen, strict=True))

    @cached_property
    def _base_jobs(self) -> dict[tuple[Concept, str], list[Job]]:
        return by_set(self.plan.jobs(BASE_CHECKPOINT))

    @cached_property
    def _generated(self) -> dict[str, Array]:
        if self.checkpoint:
            branch = self.store.branch(self.checkpoint)
            return self._see(branch, self._stored(self.plan.jobs(self.checkpoint)))
        if self.plan.heldout:
            return self._see(Path(REAL), _files(self.plan.heldout.examples))
        return self._reference

    @cached_property
    def _reference(self) -> dict[str, Array]:
        return self._see(Path("dataset"), _files(self.plan.data.examples))

    @cached_property
    def _base(self) -> dict[str, Array]:
        return self._see(Path("base"), self._stored(self.plan.jobs(BASE_CHECKPOINT)))

    @cached_property
    @torch.inference_mode()
    def _texts(self) -> dict[str, Array]:
        texts = sorted({job.text for jobs in self.jobs.values() for job in jobs if job.text})
        size = self.batch_size
        parts = [self.seer.encode_text(texts[k : k + size]) for k in range(0, len(texts), size)]
        return dict(zip(texts, torch.cat(parts).float().cpu().numpy(), strict=True))


def by_set(jobs: Iterable[Job]) -> dict[tuple[Concept, str], list[Job]]:
    """The jobs of each (concept, prompt type), in order."""
    sets: dict[tuple[Concept, str], list[Job]] = {}
    for job in jobs:
        sets.setdefault((job.image_set.concept, job.image_set.prompt_type), []).append(job)
    return sets


def _files(examples: Iterable[Example]) -> list[Item]:
    return [(example.sha256, example.path) for example in examples]
