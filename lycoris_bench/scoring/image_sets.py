"""Which images a score is of, and what they are held against: the image sets of a checkpoint."""

from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lycoris_bench.data.dataset import Example
from lycoris_bench.planning.plan import Job, Plan
from lycoris_bench.run.store import Store
from lycoris_bench.scoring.feature_pass import Item
from lycoris_bench.study import prompt_types
from lycoris_bench.study.records import BASE_CHECKPOINT, REAL, Checkpoint, Concept

Array = np.ndarray[Any, Any]
Key = tuple[Concept, str]
ROLES = ("reference", "generated", "base")  # the inputs of a metric that are images
WHOLE = Concept("", "")
"""Stands for all concepts together, where one number is of a whole checkpoint."""


class Sets:
    """Image sets of a checkpoint (None: the held-out real images), whoever looks at them."""

    def __init__(self, plan: Plan, store: Store, checkpoint: Checkpoint | None) -> None:
        self.plan, self.store, self.checkpoint = plan, store, checkpoint
        self.jobs = by_set(plan.jobs(checkpoint)) if checkpoint else {}
        self.asked = [(p.concept, p.prompt_type) for p in plan.prompt_sets]

    def keys(self, metric: Any) -> list[Key]:
        """(concept, prompt type) of the sets that a metric has all its inputs for.

        Real images are never as many as are generated: they have no number that needs it."""
        if self.checkpoint is None and metric.equal_n:
            return []
        kinds = dict.fromkeys(kind for _, kind in self.asked)
        sets = [(WHOLE, kind) for kind in kinds] if metric.whole else self.asked
        return [
            (concept, kind)
            for concept, kind in sets
            if kind in (metric.prompt_types or kinds)
            and concept.category in (metric.categories or (concept.category,))
            and all(self._has(name, concept, kind) for name in metric.inputs)
        ]

    def _has(self, name: str, concept: Concept, kind: str) -> bool:
        row = prompt_types.TYPES[kind]
        if self.checkpoint is None and name != "reference":
            # real images have no prompts, and another number of their own
            return name == "generated" and not row.leak and bool(self.generated(concept, kind))
        if name in ("reference", "base"):
            return name in row.compared_with
        if name == "text":  # a style has no plain words of its own
            return all(job.text for job in self.jobs[concept, kind])
        if name == "weights":  # one image has no spread
            return min(len(self.items(side, concept, kind)) for side in ROLES[:2]) > 1
        # Diversity inside groups of one image says nothing.
        return name != "groups" or max(np.bincount(self.groups(concept, kind))) > 1

    # ---- which images

    def items(self, name: str, concept: Concept, kind: str) -> list[Item]:
        """The images of one input: `generated`, `reference` or `base`."""
        if name == "reference":
            return self.reference(concept, kind)
        if name == "base":
            return self.stored(self.base_jobs[concept, kind])
        return self.generated(concept, kind)

    def generated(self, concept: Concept, kind: str) -> list[Item]:
        """The images that are scored: of real images the held-out ones, or half of all."""
        if concept == WHOLE:
            return [item for one in self._drawn(kind) for item in self.generated(one, kind)]
        if self.checkpoint:
            return self.stored(self.jobs[concept, kind])
        if self.plan.heldout:
            return files(self.plan.heldout.of(concept))
        return files(self.plan.data.of(concept)[1::2])

    def reference(self, concept: Concept, kind: str) -> list[Item]:
        """The dataset's images; where none are held out, real is compared half with half."""
        if concept == WHOLE:
            return files(self._classes(kind))
        halved = self.checkpoint is None and not self.plan.heldout
        return files(self.plan.data.of(concept)[:: 2 if halved else 1])

    def all(self, name: str) -> list[Item]:
        """Every image that `items` can name, so that what is seen of them is one file."""
        if name == "reference":
            return files(self.plan.data.examples)
        if name == "base":
            return self.stored(self.plan.jobs(BASE_CHECKPOINT))
        if self.checkpoint:
            return self.stored(self.plan.jobs(self.checkpoint))
        return files((self.plan.heldout or self.plan.data).examples)

    def branch(self, name: str) -> Path:
        """Where what is seen of those images is stored."""
        if name == "reference" or (self.checkpoint is None and not self.plan.heldout):
            return Path("dataset")
        if name == "base":
            return Path("base")
        return self.store.branch(self.checkpoint) if self.checkpoint else Path(REAL)

    def square(self, name: str) -> bool:
        """Whether all those images are square, so that every resizing of them is the same."""
        if name == "reference" or (name == "generated" and not self.checkpoint):
            data = self.plan.data if name == "reference" else self.plan.heldout or self.plan.data
            return all(example.size[0] == example.size[1] for example in data.examples)
        sampling = self.plan.study.settings.sampling
        return sampling.width == sampling.height

    def stored(self, jobs: Iterable[Job]) -> list[Item]:
        """Images of the run."""
        return [(job.uid, self.store.image(job.image_set, job.k)) for job in jobs]

    @cached_property
    def base_jobs(self) -> dict[Key, list[Job]]:
        """The base model's image sets."""
        return by_set(self.plan.jobs(BASE_CHECKPOINT))

    # ---- how they count

    def groups(self, concept: Concept, kind: str) -> Array:
        """The diversity group of each generated image: its prompt, or the one group of the set."""
        per_prompt = prompt_types.TYPES[kind].per_prompt
        return np.array([job.group if per_prompt else 0 for job in self.jobs[concept, kind]])

    def weights(self, kind: str) -> tuple[Array, Array]:
        """How much each image of all concepts counts, generated and reference: every class the
        same, and within a class every sub-class as its share of the dataset's images."""
        drawn, examples = self._drawn(kind), self._classes(kind)
        images = Counter(example.concept for example in examples)
        seen = Counter(_class(example.concept) for example in examples)
        of_drawn: Counter[tuple[str, str]] = Counter()
        for concept in drawn:
            of_drawn[_class(concept)] += images[concept]
        generated = [
            images[one] / of_drawn[_class(one)] / len(self.generated(one, kind))
            for one in drawn
            for _ in self.generated(one, kind)
        ]
        reference = [1 / seen[_class(example.concept)] for example in examples]
        return np.array(generated), np.array(reference)

    def _drawn(self, kind: str) -> list[Concept]:
        return [concept for concept, other in self.asked if other == kind]

    def _classes(self, kind: str) -> list[Example]:
        """The dataset's images of the classes that are drawn, "others" among them."""
        classes = {_class(concept) for concept in self._drawn(kind)}
        return [one for one in self.plan.data.examples if _class(one.concept) in classes]

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
            elif name == "weights":
                identity.append([weights.tolist() for weights in self.weights(kind)])
        return identity


def by_set(jobs: Iterable[Job]) -> dict[Key, list[Job]]:
    """The jobs of each (concept, prompt type), in order."""
    sets: dict[Key, list[Job]] = {}
    for job in jobs:
        sets.setdefault((job.image_set.concept, job.image_set.prompt_type), []).append(job)
    return sets


def files(examples: Iterable[Example]) -> list[Item]:
    """Images of a dataset."""
    return [(example.sha256, example.path) for example in examples]


def _class(concept: Concept) -> tuple[str, str]:
    return concept.category, concept.class_name
