"""The nouns of a study, as frozen values. They are the only keys; paths are rendered from them
in run/tree.py and never parsed back. Standard library only, so that everything may import it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar

from lycoris_bench.files.identity import exact, uid

Option = int | float | str | bool
BASE = "base"  # the configuration name of the base model
REAL = "real"  # the configuration name of held-out dataset images: the ceiling of fidelity
COMBINED = "combined"  # the algorithm of configurations that are made of others, or of files
GIVEN = "given"  # the algorithm of a configuration that others trained and nothing describes


@dataclass(frozen=True, order=True)
class Concept:
    """What is taught: a class of a category, or one of its sub-classes ("" if it has none)."""

    category: str
    class_name: str
    subclass: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.category, self.class_name, self.subclass) if part)


@dataclass(frozen=True, order=True)
class GivenFile:
    """A checkpoint that was made elsewhere: its path, and the moment of its training, in the unit
    of its configuration; None where nothing says it. A whole model takes the base model's place, an
    adapter is merged into it. A `partial` model takes the place of those parts that it has.
    `shown`: where curves show a file without a moment."""

    path: str
    moment: int | None = None
    whole: bool = False
    unit: str = "epoch"
    partial: bool = False
    shown: int | None = None


@dataclass(frozen=True)
class Configuration:
    """One way to fine-tune: an algorithm, the layers it trains, its rate and its own options.

    `options` are the keywords of the adapter's constructor; of a combination, the adapters it is
    made of (configurations or files) and their strengths. `layers` identifies a preset that the
    study itself defines. `captions` is the extension of the caption files it is trained with,
    where that is not `.txt`. `concepts` are the patterns of the concepts it is trained on, where
    those are not all of the study. `prior_preservation`: whether it is held to the class images of
    the study, where that has any; the settings it is trained with say so too (`Study.training`),
    and are part of what identifies weights, so `uid` leaves it out. `capacity` (1 default,
    2 larger, 3 native) and `importance` (whether SHAP uses it) only serve the analysis: they are
    not part of the identity, so changing them trains nothing again.

    `files` are the checkpoints of a training that others ran; what else is said of it then serves
    the analysis alone."""

    name: str
    algorithm: str
    preset: str = ""
    lr: float = 0.0
    options: tuple[tuple[str, Option], ...] = ()
    layers: str = ""
    captions: str = ""
    files: tuple["GivenFile", ...] = ()
    concepts: tuple[str, ...] = ()
    prior_preservation: bool = True
    capacity: int = field(default=1, compare=False)
    importance: bool = field(default=True, compare=False)

    @property
    def uid(self) -> str:
        """Identity of what is trained; the name is not part of it."""
        own = tuple(value for value in (self.layers, self.captions, self.concepts) if value)
        return uid(self.algorithm, self.preset, self.lr, sorted(self.options), *own)

    @property
    def keywords(self) -> dict[str, Option]:
        return dict(self.options)


@dataclass(frozen=True)
class Checkpoint:
    """The weights of one configuration and seed after an epoch, applied at a strength. The base
    model is one too; what was made elsewhere may have neither seed nor epoch, as have images of
    which no step of a training is known."""

    configuration: Configuration
    seed: int | None = None
    epoch: int | None = None
    strength: float = 1.0
    is_drawn: ClassVar[bool] = True  # its images are drawn, as many as a study asks for

    @property
    def is_base(self) -> bool:
        return self.configuration.name == BASE

    @property
    def is_combined(self) -> bool:
        return self.configuration.algorithm == COMBINED

    @property
    def given(self) -> GivenFile | None:
        """The file of a checkpoint that was made elsewhere; None of any other."""
        files = self.configuration.files
        return next((file for file in files if file.moment == self.epoch), None)

    @property
    def is_whole(self) -> bool:
        """Whether it is a whole model that was given."""
        return self.given is not None and self.given.whole

    @property
    def weights(self) -> "Checkpoint":
        """What is stored of it, whatever the strength."""
        return replace(self, strength=1.0)

    def __str__(self) -> str:
        return checkpoint_name(self.configuration.name, self.seed, self.epoch, self.strength)


def checkpoint_name(
    configuration: str, seed: int | None, epoch: int | None, strength: float
) -> str:
    """How a checkpoint is called in messages; nothing is looked up by it."""
    name = configuration
    if seed is not None:
        name += f"/seed-{seed}"
    if epoch is not None:
        name += f"/epoch-{epoch:03d}"
    return name if strength == 1 else f"{name}/strength-{exact(strength)}"


BASE_CHECKPOINT = Checkpoint(Configuration(BASE, BASE))


@dataclass(frozen=True)
class RealImages:
    """Images of the dataset that are scored as a checkpoint's are: the ceiling of fidelity."""

    configuration: ClassVar[Configuration] = Configuration(REAL, REAL)
    seed: ClassVar[None] = None
    epoch: ClassVar[None] = None
    strength: ClassVar[float] = 1.0
    is_drawn: ClassVar[bool] = False

    def __str__(self) -> str:
        return REAL


REAL_IMAGES = RealImages()
Source = Checkpoint | RealImages
"""What images come from that are scored."""


@dataclass(frozen=True)
class PromptSet:
    """The prompts of one concept and prompt type, and beside each the text CLIP compares with.
    Prompts of two concepts have a `second`."""

    concept: Concept
    prompt_type: str
    prompts: tuple[str, ...]
    texts: tuple[str, ...]
    second: Concept | None = None

    @property
    def key(self) -> "Key":
        """What tells it from the other prompt sets of a study."""
        return self.concept, self.prompt_type, self.second

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """The concepts that its prompts name."""
        return (self.concept, self.second) if self.second else (self.concept,)

    @property
    def identity(self) -> dict[str, Any]:
        """What uids are made of. `second` is younger than the first runs and left out where there
        is none, so that those runs stay valid."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def images(self, checkpoint: Checkpoint) -> "ImageSet":
        """The image set that a checkpoint draws for it."""
        return ImageSet(checkpoint, *self.key)


Key = tuple[Concept, str, Concept | None]
"""Concept, prompt type and second concept."""


@dataclass(frozen=True)
class ImageSet:
    """The images one checkpoint draws for one prompt set."""

    checkpoint: Checkpoint
    concept: Concept
    prompt_type: str
    second: Concept | None = None

    @property
    def key(self) -> Key:
        """That of its prompt set."""
        return self.concept, self.prompt_type, self.second

    def __str__(self) -> str:
        named = f"{self.concept} and {self.second}" if self.second else self.concept
        return f"{self.checkpoint} on {named} ({self.prompt_type})"


@dataclass(frozen=True)
class MetricRow:
    """One number of the tidy table, with all that is needed to know what it may be compared with.

    `seed` and `epoch` are absent for the base model and for real images. `fingerprint`
    identifies metric version, encoder record, resizing, reference set, n and the protocol of the
    images; `protocol` says the latter as JSON, "" where it is not known (planning/protocol.py).
    `second` is the second concept of prompts that name two, "" of all others."""

    study: str
    configuration: str
    algorithm: str
    seed: int | None
    epoch: int | None
    strength: float
    category: str
    class_name: str
    subclass: str
    prompt_type: str
    metric: str
    encoder: str
    resize: str
    value: float
    better: str
    n: int
    fingerprint: str
    protocol: str = ""
    second: str = ""

    @classmethod
    def columns(cls) -> list[str]:
        """Column names of the table: the fields, with `class_name` under its plain name."""
        return ["class" if f.name == "class_name" else f.name for f in fields(cls)]

    def record(self) -> Mapping[str, Any]:
        return dict(zip(self.columns(), (getattr(self, f.name) for f in fields(self)), strict=True))
