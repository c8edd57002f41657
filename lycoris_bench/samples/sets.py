"""The plan of images that exist already, and the image sets of its columns: what a study's plan and
sets are of images that it draws."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

from lycoris_bench.data.dataset import Dataset
from lycoris_bench.files.identity import uid
from lycoris_bench.planning import protocol, scored_rows
from lycoris_bench.run.store import Store
from lycoris_bench.samples.concepts import Reference
from lycoris_bench.samples.found import Sample
from lycoris_bench.scoring.all_concepts import files
from lycoris_bench.scoring.image_sets import (
    BASE,
    REFERENCE,
    Collection,
    ImageSets,
    RealSets,
    alike,
)
from lycoris_bench.scoring.metrics.inputs import Item, ScoredSet
from lycoris_bench.study.load import Study
from lycoris_bench.study.prompt_types import TYPES
from lycoris_bench.study.records import (
    BASE_CHECKPOINT,
    REAL_IMAGES,
    Checkpoint,
    Concept,
    Configuration,
    RealImages,
    Source,
)

TEXT = "text"
DRAWN_WITH = ("sampler", "steps", "guidance")  # settings that a protocol says where they are known


@dataclass(frozen=True)
class Cell:
    """A concept and a prompt type."""

    concept: Concept
    prompt_type: str
    second: None = None


@dataclass(frozen=True)
class SamplesPlan:
    """The columns that are compared, the real images and the words of concepts; `partners` has the
    base model's image for a uid; what `compared_by` names is no part of the protocol; `by_seed`:
    image k of every column is known to have the same noise."""

    study: Study
    columns: Mapping[Checkpoint, Sequence[Sample]]
    known: Reference
    data: Dataset
    partners: Mapping[str, Sample]
    compared_by: str
    by_seed: bool
    heldout: None = None

    @cached_property
    def kinds(self) -> dict[Concept, str]:
        """What kind of concept each is, where a table says so."""
        named = {cell.concept: self.known.words_of(cell.concept) for cell in self.prompt_sets}
        return {concept: words.kind for concept, words in named.items() if words}

    @cached_property
    def prompt_sets(self) -> list[Cell]:
        """The cells that any column has, in order."""
        drawn = chain(*(own for c, own in self.columns.items() if not c.is_base))
        return list(dict.fromkeys(_cell(sample) for sample in drawn))

    def is_taught_all(self, configuration: Configuration) -> bool:
        """Of images that exist already it is not known."""
        return True

    @property
    def sources(self) -> list[Source]:
        """What is scored: half of the real images against the others, base where it has all that
        the columns have, and each column."""
        real: list[Source] = [REAL_IMAGES] if self.data.examples else []
        return [*real, *self.columns]

    def text(self, sample: Sample) -> str | None:
        """What CLIP reads in place of an image's prompt."""
        return self.known.text(sample)

    def protocols(self, source: Source) -> dict[protocol.Cell, str]:
        """The protocol of the images of each cell, as far as the images themselves say it
        (`planning.protocol`)."""
        own = self.columns[source] if isinstance(source, Checkpoint) else ()
        found: dict[protocol.Cell, str] = {}
        for cell in self.prompt_sets:
            concept, kind = cell.concept, cell.prompt_type
            of_kind = [s for s in own if s.prompt_type == kind]
            of_cell = [s for s in of_kind if s.concept == concept]
            name = (concept.category, concept.class_name, concept.subclass, kind, "")
            found[name] = self._protocol(of_cell) if of_cell else ""
            found["", "", "", kind, ""] = self._protocol(of_kind) if of_kind else ""
        return found

    def _protocol(self, samples: Sequence[Sample]) -> str:
        about: dict[str, Any] = {"drawn": "elsewhere"}
        for name in DRAWN_WITH:
            values = {s.said[name] for s in samples if s.said.get(name)}
            if values and name != self.compared_by:
                about[name] = ", ".join(sorted(values))
        if self.compared_by != "size":
            about["size"] = ", ".join(sorted({f"{w}x{h}" for w, h in (s.size for s in samples)}))
        if self.compared_by != "prompt":
            about["prompts"] = uid([s.prompt for s in samples])
        return json.dumps(about)

    def inputs(self, store: Store, source: Source) -> str:
        """Identity of all inputs of a source's rows (`planning.scored_rows.inputs`)."""
        return uid(
            self.identity(source),
            [record.hash for record in scored_rows.records(self.study, store)],
            scored_rows.versions(self.study, source),
        )

    def identity(self, source: Source) -> str:
        """Identity of a source's images and of all that they are compared with."""
        own = self.columns[source] if isinstance(source, Checkpoint) else ()
        partners = [self.partners.get(s.uid) for s in own]
        return uid(
            self.study.name, str(source), self.data.fingerprint,
            [(str(s.concept), s.prompt_type, s.uid, self.text(s), s.prompt) for s in own],
            [one.uid if one else None for one in partners],
            [(str(cell.concept), cell.prompt_type) for cell in self.prompt_sets],
            sorted((str(concept), kind) for concept, kind in self.kinds.items()),
            list(self.protocols(source).values()),
            self.study.settings.scoring.model_dump(exclude={"batch_size"}),
        )  # fmt: skip

    def sets(self, store: Store, source: Source) -> ImageSets:
        """The image sets of a source."""
        if isinstance(source, RealImages):
            return RealSets(self, store, source)
        return SampleSets(self, store, source)


class SampleSets(ImageSets):
    """The images of a column, and the images and texts they are compared with.

    Where some images have no prompt, or no partner of the base model, metrics that need it have
    sets of the others alone."""

    plan: SamplesPlan

    def __init__(self, plan: SamplesPlan, store: Store, column: Checkpoint) -> None:
        super().__init__(plan, store, column)
        self._own: dict[Cell, list[Sample]] = {cell: [] for cell in plan.prompt_sets}
        for sample in plan.columns[column]:
            self._own.setdefault(_cell(sample), []).append(sample)
        self._parts: dict[frozenset[str], list[ScoredSet]] = {}

    @cached_property
    def single(self) -> list[ScoredSet]:
        return [self._set(cell, own, frozenset()) for cell, own in self._own.items() if own]

    @property
    def all(self) -> list[ScoredSet]:
        needs = [frozenset({BASE}), frozenset({TEXT}), frozenset({BASE, TEXT})]
        parts = chain(*map(self._partial, needs))
        return [*self.single, *parts, *self.whole]

    def offered(self, metric: Any) -> list[ScoredSet]:
        needs = frozenset(
            name
            for row in metric.inputs
            for name, used in ((BASE, row.collection == BASE), (TEXT, row.name == TEXT))
            if used
        )
        return [*self.single, *(self._partial(needs) if needs else ())]

    @property
    def joined(self) -> list[ScoredSet]:
        """Of classes with real images, whose numbers weigh them; without what images of some
        concept lack, so that rows of all lists belong together."""
        classes = {(e.concept.category, e.concept.class_name) for e in self.plan.data.examples}
        kept = [s for s in self.single if (s.category, s.class_name) in classes]
        texts, base = all(s.texts for s in kept), all(s.base for s in kept)
        return [
            replace(s, texts=s.texts if texts else (), base=s.base if base else ()) for s in kept
        ]

    def collection(self, name: str) -> Collection:
        if name == REFERENCE:
            return self.dataset
        if name == BASE:
            own = [*self.plan.columns.get(BASE_CHECKPOINT, ()), *self.plan.partners.values()]
            once = {sample.uid: sample for sample in own}
            return self._collection(BASE_CHECKPOINT, list(once.values()))
        assert isinstance(self.source, Checkpoint)
        return self._collection(self.source, list(chain(*self._own.values())))

    def _collection(self, column: Checkpoint, own: Sequence[Sample]) -> Collection:
        square = all(s.size[0] == s.size[1] for s in own)
        return Collection(self.store.branch(column), _items(own), square)

    def _partial(self, needs: frozenset[str]) -> list[ScoredSet]:
        """The sets of images that have all that is needed, of cells where others lack some."""
        if needs not in self._parts:
            made: list[ScoredSet] = []
            for cell, own in self._own.items():
                having = [s for s in own if not needs - self._has(s, cell)]
                if having and len(having) < len(own):
                    made.append(self._set(cell, having, needs))
            self._parts[needs] = made
        return self._parts[needs]

    def _has(self, sample: Sample, cell: Cell) -> frozenset[str]:
        row = TYPES[cell.prompt_type]
        has_base = BASE in row.compared_with and self._partner(sample) is not None
        given = ((TEXT, sample.prompt is not None), (BASE, has_base))
        return frozenset(name for name, there in given if there)

    def _partner(self, sample: Sample) -> Sample | None:
        if self.source == BASE_CHECKPOINT:
            return sample
        return self.plan.partners.get(sample.uid)

    def _set(self, cell: Cell, own: Sequence[Sample], needs: frozenset[str]) -> ScoredSet:
        """The set of these images; with `needs`, which all of them have, it has nothing else to be
        compared with, as it is for what the whole set cannot have."""
        row, concept = TYPES[cell.prompt_type], cell.concept
        there = frozenset.intersection(*(self._has(s, cell) for s in own))
        there = needs or there
        examples = self.examples.get(concept, []) if REFERENCE in row.compared_with else []
        reference = files(examples) if not needs else []
        prompts = list(dict.fromkeys(s.prompt for s in own))
        base = [one for s in own if BASE in there and (one := self._partner(s))]
        return ScoredSet(
            kind=self.plan.kinds.get(concept, ""),
            category=concept.category,
            class_name=concept.class_name,
            subclass=concept.subclass,
            prompt_type=cell.prompt_type,
            generated=_items(own),
            reference=reference,
            base=_items(base),
            texts=[self.plan.text(s) or "" for s in own] if TEXT in there else [],
            groups=[prompts.index(s.prompt) if row.per_prompt else 0 for s in own],
            weights=alike(own, reference),
        )


def _cell(sample: Sample) -> Cell:
    assert sample.concept is not None
    return Cell(sample.concept, sample.prompt_type)


def _items(samples: Iterable[Sample]) -> list[Item]:
    return [(sample.uid, sample.path) for sample in samples]
