"""The image sets of a source: the images that are scored, and those they are compared with."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from lycoris_bench.data.dataset import Dataset, Example
from lycoris_bench.planning.parts import Part
from lycoris_bench.planning.plan import Job, Plan
from lycoris_bench.run.store import Store
from lycoris_bench.scoring.all_concepts import all_concepts, files
from lycoris_bench.scoring.compared import Compared
from lycoris_bench.scoring.metrics.inputs import Item, ScoredSet
from lycoris_bench.study import prompt_types
from lycoris_bench.study.records import (
    BASE_CHECKPOINT,
    Checkpoint,
    Concept,
    RealImages,
    Source,
)

Key = tuple[Concept, str]
COLLECTIONS = REFERENCE, GENERATED, BASE = ("reference", "generated", "base")


@dataclass(frozen=True)
class Collection:
    """Images whose features are stored in one file, under `branch`."""

    branch: Path
    items: Sequence[Item]
    square: bool  # all images are square, so that every resizing gives the same pixels


class ImageSets(ABC):
    """The image sets of one source: a checkpoint or real images; or a `part` of a checkpoint's, of
    which there are no sets of all concepts. Subclasses are final."""

    plan: Compared

    def __init__(
        self, plan: Compared, store: Store, source: Source, part: Part | None = None
    ) -> None:
        self.plan, self.store, self.source, self.part = plan, store, source, part
        self._suiting: dict[Any, list[ScoredSet]] = {}

    @property
    def batch_size(self) -> int:
        """The number of images that are encoded at once."""
        return self.plan.study.settings.scoring.batch_size

    @cached_property
    @abstractmethod
    def single(self) -> list[ScoredSet]:
        """One set per concept and prompt type, in the study's order."""

    @abstractmethod
    def collection(self, name: str) -> Collection:
        """All `reference`, `generated` or `base` images of the sets."""

    @property
    def all(self) -> list[ScoredSet]:
        """Every set, in the order of the rows."""
        return [*self.single, *self.whole]

    def of(self, metric: Any) -> list[ScoredSet]:
        """The sets that a metric applies to and that have all its inputs.

        Real images are fewer than drawn ones, so a metric whose value depends on the number of
        images (`equal_n`) has no sets of them."""
        if metric.equal_n and not self.source.is_drawn:
            return []
        if metric not in self._suiting:
            sets = self.whole if metric.whole else self.offered(metric)
            self._suiting[metric] = [scored for scored in sets if suits(metric, scored)]
        return self._suiting[metric]

    def offered(self, metric: Any) -> list[ScoredSet]:
        """The set of each concept and prompt type, of which a metric takes those that suit it."""
        return self.single

    @property
    def joined(self) -> list[ScoredSet]:
        """The sets that those of all concepts are made of."""
        return self.single

    @cached_property
    def whole(self) -> list[ScoredSet]:
        """One set of all concepts per prompt type."""
        by_kind: defaultdict[str, list[ScoredSet]] = defaultdict(list)
        for scored in self.joined if self.part is None else ():
            by_kind[scored.prompt_type].append(scored)
        return [
            all_concepts(by_kind[kind], self.plan.data.examples)
            for kind in prompt_types.TYPES
            if kind in by_kind
        ]

    @cached_property
    def examples(self) -> dict[Concept, list[Example]]:
        return {concept: self.plan.data.of(concept) for concept in self.plan.data.concepts}

    @cached_property
    def dataset(self) -> Collection:
        return Collection(Path("dataset"), files(self.plan.data.examples), _square(self.plan.data))


def image_sets(plan: Plan, store: Store, source: Source, part: Part | None = None) -> ImageSets:
    """The image sets of a source in a study, or a part of them."""
    if isinstance(source, RealImages):
        return RealSets(plan, store, source)
    return DrawnSets(plan, store, source, part)


def suits(metric: Any, scored: ScoredSet) -> bool:
    """Whether a metric is meant for an image set that has all its inputs."""
    return (
        scored.prompt_type in (metric.prompt_types or (scored.prompt_type,))
        and scored.kind in (metric.kinds or (scored.kind,))
        and all(row.available(scored) for row in metric.inputs)
    )


class DrawnSets(ImageSets):
    """The images of a checkpoint, and the images and texts they are compared with."""

    plan: Plan

    def __init__(
        self, plan: Plan, store: Store, checkpoint: Checkpoint, part: Part | None = None
    ) -> None:
        super().__init__(plan, store, checkpoint, part)
        jobs = plan.jobs(checkpoint)
        self._jobs = by_set(jobs if part is None else jobs[part.images])
        self._generated = self._items(self._jobs)

    @cached_property
    def single(self) -> list[ScoredSet]:
        asked = [(p.concept, p.prompt_type) for p in self.plan.prompt_sets]
        return [self._set(*key) for key in asked if key in self._jobs]

    def collection(self, name: str) -> Collection:
        if name == REFERENCE:
            return self.dataset
        items, source = self._generated, self.source
        if name == BASE:
            items, source = self._base, BASE_CHECKPOINT
        branch = self.store.branch(source)
        if self.part and source == self.source:
            branch = branch / self.part.name
        sampling = self.plan.study.settings.sampling
        images = list(chain(*items.values()))
        return Collection(branch, images, sampling.width == sampling.height)

    @cached_property
    def _base(self) -> dict[Key, list[Item]]:
        if self.source == BASE_CHECKPOINT:
            return self._generated
        return self._items(by_set(self.plan.jobs(BASE_CHECKPOINT)))

    def _items(self, jobs: dict[Key, list[Job]]) -> dict[Key, list[Item]]:
        return {
            key: [(job.uid, self.store.image(job.image_set, job.k)) for job in own]
            for key, own in jobs.items()
        }

    def _set(self, concept: Concept, kind: str) -> ScoredSet:
        row, jobs = prompt_types.TYPES[kind], self._jobs[concept, kind]
        reference = files(self.examples[concept]) if REFERENCE in row.compared_with else []
        return ScoredSet(
            kind=self.plan.kinds.get(concept, ""),
            category=concept.category,
            class_name=concept.class_name,
            subclass=concept.subclass,
            prompt_type=kind,
            generated=self._generated[concept, kind],
            reference=reference,
            base=self._base[concept, kind] if BASE in row.compared_with else [],
            texts=[job.text for job in jobs],
            groups=[job.group if row.per_prompt else 0 for job in jobs],
            weights=alike(jobs, reference),
        )


class RealSets(ImageSets):
    """Held-out images of the dataset, or half of its images, compared with the rest."""

    @cached_property
    def single(self) -> list[ScoredSet]:
        return [
            self._set(p.concept, p.prompt_type)
            for p in self.plan.prompt_sets
            if not prompt_types.TYPES[p.prompt_type].expects_no_concept
        ]

    def collection(self, name: str) -> Collection:
        heldout = self.plan.heldout
        if name == REFERENCE or not heldout:
            return self.dataset
        branch = self.store.branch(self.source)
        asked = [example for example in heldout.examples if example.concept in self.examples]
        return Collection(branch, files(asked), _square(heldout))

    def _set(self, concept: Concept, kind: str) -> ScoredSet:
        """Real images have no prompts, and their number is not that of generated ones."""
        heldout, examples = self.plan.heldout, self.examples.get(concept, [])
        real, rest = (heldout.of(concept), examples) if heldout else (examples[1::2], examples[::2])
        reference = rest if REFERENCE in prompt_types.TYPES[kind].compared_with else []
        return ScoredSet(
            kind=self.plan.kinds.get(concept, ""),
            category=concept.category,
            class_name=concept.class_name,
            subclass=concept.subclass,
            prompt_type=kind,
            generated=files(real),
            reference=files(reference),
            weights=alike(real, reference),
        )


def by_set(jobs: Iterable[Job]) -> dict[Key, list[Job]]:
    """The jobs of each (concept, prompt type), in order."""
    sets: dict[Key, list[Job]] = {}
    for job in jobs:
        sets.setdefault((job.image_set.concept, job.image_set.prompt_type), []).append(job)
    return sets


def alike(*sides: Sequence[Any]) -> Any:
    """Equal weights for the images of one concept, a list for each side."""
    return tuple([1 / len(side)] * len(side) if side else [] for side in sides)


def _square(data: Dataset) -> bool:
    return all(example.size[0] == example.size[1] for example in data.examples)
