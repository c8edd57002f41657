"""What each configuration is taught of a study: its images with their captions, and the prompts
that it is drawn with. A configuration may be taught some of the concepts alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lycoris_bench.data.dataset import Dataset
from lycoris_bench.files.identity import uid
from lycoris_bench.study.records import COMBINED, Concept, Configuration, PromptSet
from lycoris_bench.study.settings import Training
from lycoris_bench.training.buckets import steps_per_epoch

Concepts = frozenset[Concept] | None
"""None: all of the study."""
Key = tuple[str, Concepts]
Inputs = tuple[Dataset, tuple[PromptSet, ...]]


@dataclass(frozen=True)
class Taught:
    """inputs: of all concepts, by the captions of configurations. own: the configurations that are
    trained, by name. patterns: the concepts that patterns stand for, where those are not all."""

    inputs: Mapping[str, Inputs]
    own: Mapping[str, Configuration]
    patterns: Mapping[tuple[str, ...], frozenset[Concept]]
    training: Training
    _known: dict[Key, Inputs] = field(default_factory=dict)
    _steps: dict[Concepts, int] = field(default_factory=dict)
    _uids: dict[tuple[Key, int | None], str] = field(default_factory=dict)

    def concepts(self, configuration: Configuration) -> Concepts:
        """The concepts that a configuration is trained on; of a combination, those of all its
        parts. What a file was trained on is not known: it may be all."""
        if configuration.algorithm != COMBINED:
            return self.patterns.get(configuration.concepts)
        found: frozenset[Concept] = frozenset()
        for name in configuration.keywords:
            part = self.own.get(name)
            concepts = self.concepts(part) if part else None
            if concepts is None:
                return None
            found |= concepts
        return found

    def data(self, configuration: Configuration) -> Dataset:
        """The training images of its concepts, with its captions."""
        return self._inputs(configuration.captions, self.concepts(configuration))[0]

    def pictures(self, configuration: Configuration) -> Dataset:
        """The same images with the main captions: those whose latents it is trained on."""
        return self._inputs("", self.concepts(configuration))[0]

    def prompt_sets(self, configuration: Configuration) -> tuple[PromptSet, ...]:
        """Those that name nothing but its concepts."""
        return self._inputs(*self._key(configuration))[1]

    def prompts_uid(self, configuration: Configuration, images: int | None = None) -> str:
        """Identity of its prompts and their texts, and of how many images are drawn of each."""
        known = self._key(configuration), images
        if known not in self._uids:
            asked = [prompt_set.identity for prompt_set in self.prompt_sets(configuration)]
            self._uids[known] = uid(asked) if images is None else uid(images, asked)
        return self._uids[known]

    def steps(self, configuration: Configuration) -> int:
        """The number of training steps in an epoch."""
        concepts = self.concepts(configuration)
        if concepts not in self._steps:
            self._steps[concepts] = steps_per_epoch(self.pictures(configuration), self.training)
        return self._steps[concepts]

    def _key(self, configuration: Configuration) -> Key:
        """Alike for configurations that have all of this in common."""
        return configuration.captions, self.concepts(configuration)

    def _inputs(self, captions: str, concepts: Concepts) -> Inputs:
        data, prompt_sets = self.inputs[captions]
        if concepts is None:
            return data, prompt_sets
        if (captions, concepts) not in self._known:
            examples = tuple(e for e in data.examples if e.concept in concepts)
            named = tuple(p for p in prompt_sets if concepts.issuperset(p.concepts))
            self._known[captions, concepts] = replace(data, examples=examples), named
        return self._known[captions, concepts]
