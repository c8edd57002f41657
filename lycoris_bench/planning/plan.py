"""The plan of a study: its concepts, prompts, checkpoints and images, and the uid of each, which
is a hash of all inputs that it depends on."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from lycoris_bench.data import dataset
from lycoris_bench.data.heldout import held_out
from lycoris_bench.files.identity import uid
from lycoris_bench.planning import class_images, resolve
from lycoris_bench.planning.jobs import Job, drawn_with, groups
from lycoris_bench.planning.limits import too_much
from lycoris_bench.planning.taught import Taught
from lycoris_bench.study import concept_words
from lycoris_bench.study.load import Study, StudyError
from lycoris_bench.study.records import (
    BASE_CHECKPOINT,
    Checkpoint,
    Concept,
    Configuration,
    PromptSet,
)

DRAWN_ELSEWHERE = (
    "its images exist already, so nothing is trained or drawn; score the folder that they lie in "
    "with 'lycoris-bench score DIR', and analyze the run folder with 'lycoris-bench analyze RUN'"
)
FORMAT = 1  # raised when training or sampling changes what it computes


@dataclass(frozen=True)
class Plan:
    """A study with its inputs read. Picklable, so that worker processes receive it."""

    study: Study
    data: dataset.Dataset
    heldout: dataset.Dataset | None
    prompt_sets: tuple[PromptSet, ...]
    base_uid: str
    drawn_base_uid: str  # of the model that images are drawn with, which may be another
    files: dict[str, str]  # content of each adapter and whole model that the study names
    captioned: dict[str, resolve.Captioned] = field(default_factory=dict)  # with other captions
    limit: int | None = None
    complete: bool = True  # its dataset and base models are there: uids can be compared
    doubts: tuple[str, ...] = ()  # about its data and concepts, a sentence each
    kinds: dict[Concept, str] = field(default_factory=dict)  # "style", or "" for other concepts
    places: dict[str, Path] = field(default_factory=dict)  # of `files`, where they were moved
    class_words: dict[Concept, str] = field(default_factory=dict)
    patterns: dict[tuple[str, ...], frozenset[Concept]] = field(default_factory=dict)

    def at(self, place: Callable[[Path], Path]) -> "Plan":
        """The plan for a machine on which each file lies at `place(file)`. No uid changes."""
        return replace(
            self,
            study=self.study.at(place),
            data=self.data.at(place),
            heldout=self.heldout and self.heldout.at(place),
            captioned={key: replace(c, data=c.data.at(place)) for key, c in self.captioned.items()},
            places={name: place(Path(name)) for name in self.files},
        )

    @property
    def base_model(self) -> str:
        """The model that draws images: `sampling.base_model`, else the one that is trained."""
        settings = self.study.settings
        return settings.sampling.base_model or settings.base_model

    def model_of(self, checkpoint: Checkpoint) -> str:
        """The model that draws a checkpoint: the base model, or a whole model that was given."""
        if checkpoint.given is None or not checkpoint.given.whole:
            return self.base_model
        return str(self.places.get(checkpoint.given.path, checkpoint.given.path))

    def rest_of(self, checkpoint: Checkpoint) -> str | None:
        """The model that has the parts which the model that draws a checkpoint lacks, if any."""
        return self.base_model if checkpoint.given and checkpoint.given.partial else None

    def model_uid(self, checkpoint: Checkpoint) -> str:
        """Identity of the model that draws a checkpoint, without the adapters merged into it."""
        if (given := checkpoint.given) is None or not given.whole:
            return self.drawn_base_uid
        return uid(FORMAT, self.files[given.path], *[self.drawn_base_uid] * given.partial)

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """The checkpoints that draw: base, then the study's, or the first `limit` of them."""
        base, *others = self.study.checkpoints
        return [base, *others[: self.limit]]

    @property
    def trained(self) -> list[Checkpoint]:
        """The trained checkpoints that `checkpoints` consist of, in the study's order."""
        needed = {
            part
            for checkpoint in self.checkpoints
            for part, _ in self.parts(checkpoint)
            if isinstance(part, Checkpoint)
        }
        return [checkpoint for checkpoint in self.study.trained if checkpoint in needed]

    @cached_property
    def taught(self) -> Taught:
        """What each configuration is taught of the study."""
        inputs = {key: (one.data, one.prompt_sets) for key, one in self.captioned.items()}
        inputs[""] = self.data, self.prompt_sets
        return Taught(inputs, self.study.own, self.patterns, self.study.settings.training)

    def is_taught_all(self, configuration: Configuration) -> bool:
        """Whether it is trained on all concepts of the study, as far as is known."""
        return self.taught.concepts(configuration) is None

    def data_of(self, configuration: Configuration) -> dataset.Dataset:
        """The training images, with their captions, that the configuration is trained on."""
        return self.taught.data(configuration)

    def prompt_sets_of(self, checkpoint: Checkpoint) -> tuple[PromptSet, ...]:
        """The prompts of a checkpoint, of the concepts it was trained on; its train prompts are the
        captions it was trained with."""
        return self.taught.prompt_sets(checkpoint.configuration)

    def parts(self, checkpoint: Checkpoint) -> list[tuple[Checkpoint | Path, float]]:
        """The adapters that make a checkpoint, each with its strength: trained checkpoints or
        files. The base model and a given model have none."""
        if checkpoint.is_base or checkpoint.is_whole:
            return []
        if checkpoint.given:
            return [(Path(checkpoint.given.path), checkpoint.strength)]
        if not checkpoint.is_combined:
            return [(checkpoint.weights, checkpoint.strength)]
        own = self.study.own
        return [
            (
                Checkpoint(own[name], checkpoint.seed, checkpoint.epoch)
                if name in own
                else Path(name),
                float(strength) * checkpoint.strength,
            )
            for name, strength in checkpoint.configuration.options
        ]

    def checkpoint_uid(self, checkpoint: Checkpoint) -> str:
        """Identity of trained weights: base model, data, settings, configuration, seed, epoch.

        Other epochs of the study do not matter, as the rate is constant after the warm-up."""
        if checkpoint.is_base:
            return self.base_uid
        configuration = checkpoint.configuration
        training = self.study.training(configuration)
        beside = [class_images.identity(self)] if training.prior_preservation else []
        return uid(
            FORMAT, self.base_uid, self.data_of(configuration).fingerprint, training.identity(),
            configuration.uid, checkpoint.seed, checkpoint.epoch, *beside,
        )  # fmt: skip

    @cached_property
    def class_images(self) -> "Plan | None":
        """The plan by which the images of prior preservation are drawn; None without it."""
        return class_images.plan_of(self)

    def drawn_uid(self, checkpoint: Checkpoint) -> str:
        """Identity of the model that draws: the uid of trained weights at strength 1 on their own
        base model, else a hash of the base model and all adapters with their strengths."""
        if checkpoint.is_base or checkpoint.is_whole:
            return self.model_uid(checkpoint)
        parts = [(self._part_uid(part), strength) for part, strength in self.parts(checkpoint)]
        if len(parts) == 1 and parts[0][1] == 1 and self.drawn_base_uid == self.base_uid:
            return parts[0][0]
        return uid(FORMAT, self.drawn_base_uid, parts)

    def _part_uid(self, part: Checkpoint | Path) -> str:
        return self.files[str(part)] if isinstance(part, Path) else self.checkpoint_uid(part)

    def run_uid(self, checkpoint: Checkpoint) -> str:
        """Identity of a training apart from its epochs, which a saved state carries."""
        return self.checkpoint_uid(replace(checkpoint, epoch=0))

    def by_run(self) -> list[list[Checkpoint]]:
        """The checkpoints of each configuration and seed, in epoch order."""
        runs: dict[tuple[str, int | None], list[Checkpoint]] = {}
        for checkpoint in self.trained:
            key = (checkpoint.configuration.name, checkpoint.seed)
            runs.setdefault(key, []).append(checkpoint)
        return list(runs.values())

    def steps(self, epochs: int, configuration: Configuration | None = None) -> int:
        """The number of training steps in so many epochs; of a configuration, on its concepts."""
        return epochs * self.taught.steps(configuration or BASE_CHECKPOINT.configuration)

    def image_count(self, checkpoint: Checkpoint) -> int:
        """The number of images in a checkpoint's queue, without making the queue."""
        return len(self.prompt_sets_of(checkpoint)) * self.study.settings.sampling.images

    def jobs(self, checkpoint: Checkpoint) -> list[Job]:
        """The whole queue of a checkpoint, in an order that depends on the study alone."""
        return [
            job
            for prompt_set in self.prompt_sets_of(checkpoint)
            for job in self.jobs_of(checkpoint, prompt_set)
        ]

    def jobs_of(self, checkpoint: Checkpoint, prompt_set: PromptSet) -> list[Job]:
        """The images of one prompt set. Their uids depend on nothing but `drawn_by` and `asked`,
        so that comparing those two replaces computing each uid."""
        sampling, model = self.study.settings.sampling, self.drawn_uid(checkpoint)
        image_set = prompt_set.images(checkpoint)
        jobs, settings = [], drawn_with(self.study)
        for k, group in enumerate(groups(sampling.images, prompt_set)):
            prompt, seed = prompt_set.prompts[group], sampling.seed + k
            identity = uid(FORMAT, model, prompt, seed, settings)
            jobs.append(Job(image_set, k, prompt, prompt_set.texts[group], group, seed, identity))
        return jobs

    def drawn_by(self, checkpoint: Checkpoint) -> str:
        """Identity of all that a checkpoint's images share: model, first seed, sampling."""
        seed = self.study.settings.sampling.seed
        return uid(FORMAT, self.drawn_uid(checkpoint), seed, drawn_with(self.study))

    def asked(self, prompt_set: PromptSet) -> str:
        """Identity of the prompts of a set's images, whichever checkpoint draws them."""
        return self._asked[prompt_set]

    @cached_property
    def _asked(self) -> dict[PromptSet, str]:
        images = self.study.settings.sampling.images
        others = (p for captioned in self.captioned.values() for p in captioned.prompt_sets)
        return {
            p: uid([p.prompts[k] for k in groups(images, p)]) for p in (*self.prompt_sets, *others)
        }

    def prompts_uid(self, checkpoint: Checkpoint) -> str:
        """Identity of a checkpoint's prompts and of the texts its images are compared with."""
        images = self.study.settings.sampling.images
        return self.taught.prompts_uid(checkpoint.configuration, images)


def plan(study: Study, limit: int | None = None, absent: list[str] | None = None) -> Plan:
    """Reads the files that a study names and makes its plan. StudyError: names every mistake in
    data and prompts.

    With `absent`, a missing dataset or base model adds a sentence to it in place of an error, and
    the plan serves for counting, not for running."""
    settings = study.settings
    if study.drawn:
        raise StudyError(study.name, [DRAWN_ELSEWHERE])
    resolve.check_weights(study)
    main, *others = resolve.captioned(study, absent).items()
    heldout, doubts = held_out(settings.heldout, main[1].data)
    words = main[1].words
    doubts += concept_words.doubts(Path(settings.dataset), words, Path(settings.prompts))
    kinds = {concept: named.kind for concept, named in words.items()}
    base = resolve.base_uid(settings.base_model, absent)
    other = settings.sampling.base_model
    asked = Plan(
        study, main[1].data, heldout, main[1].prompt_sets, base,
        resolve.base_uid(other, absent) if other else base,
        resolve.adapter_files(study), dict(others), limit, not absent, doubts, kinds,
        class_words={concept: named.class_word for concept, named in words.items()},
        patterns=resolve.patterns(study, main[1].data),
    )  # fmt: skip
    if problems := [*too_much(asked), *class_images.problems(asked)]:
        raise StudyError(study.name, problems)
    return asked
