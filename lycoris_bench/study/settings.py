"""The tables of a study file and the values they allow. Configuration stops at the door: what
passes here is handed on as plain keywords. Defaults are the paper's (section 4, appendix D)."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import plural
from lycoris_bench.models import schedulers
from lycoris_bench.study.prior_preservation import PriorPreservation
from lycoris_bench.study.records import GIVEN
from lycoris_bench.study.table import (
    LARGEST_SEED,
    LONGEST_NAME,
    Batch,
    BatchOrAuto,
    Count,
    Epochs,
    Listed,
    Moments,
    Names,
    Pair,
    Precision,
    Seeds,
    Share,
    Side,
    Some,
    Strength,
    Table,
    Text,
    ascending,
)


class Training(Table):
    """How every configuration is trained; what varies is in `algorithms`."""

    resolution: Side = 512
    bucket_step: Side = 64
    bucket_min: Side = 320
    bucket_max: Side = 960
    batch_size: Batch = 8
    images_per_class: Count = 200  # each class repeats its images to about this many an epoch
    warmup_epochs: Annotated[float, Field(ge=0, le=100_000)] = 5.0
    weight_decay: Share = 0.1
    betas: Annotated[tuple[Share, Share], Listed] = (0.9, 0.99)
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    caption_dropout: Annotated[float, Field(ge=0, le=1)] = 0.05
    max_tokens: Annotated[int, Field(ge=1, le=7500)] = 150
    clip_skip: Annotated[int, Field(ge=1, le=100)] = 1
    precision: Precision = "fp32"
    optimizer: Literal["adamw", "adamw8bit"] = "adamw"  # 8-bit on CUDA, plain elsewhere
    gradient_accumulation: Batch = 1  # batches a step
    gradient_checkpointing: bool = False  # less memory, more time
    cache_latents: bool = False  # kept on disk for later runs
    tensorboard: bool = False
    deterministic: bool = False  # on a GPU the same bits each time, a few percent slower
    prior_preservation: PriorPreservation | None = None

    @model_validator(mode="after")
    def _buckets_hold_the_resolution(self) -> "Training":
        if not self.bucket_min <= self.resolution <= self.bucket_max:
            raise BenchError(
                f"resolution {self.resolution} must lie between bucket_min {self.bucket_min} "
                f"and bucket_max {self.bucket_max}"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """What can change the trained weights. Keys that are younger than the first runs are left
        out at their default, so that those runs stay valid."""
        left_out = {"gradient_checkpointing", "cache_latents", "tensorboard", "deterministic"}
        if self.gradient_accumulation == 1:
            left_out.add("gradient_accumulation")
        if self.prior_preservation is None:
            left_out.add("prior_preservation")
        return self.model_dump(exclude=left_out)


class Sampling(Table):
    """How images are drawn: the same noise seeds for every checkpoint and for base.

    Each strength of a list is drawn and scored as a checkpoint of its own. `base_model` draws
    with another model than the one that was trained on. `pairs` are those of prompts of two
    concepts, by name; none: as the rule of study/pairs.py has them. Precision "auto" is settled by
    the run folder, else by the machine that runs first (sampling/precision.py); until then it is
    fp32."""

    base_model: Text | None = None
    strength: Annotated[tuple[Strength, ...], Listed, AfterValidator(ascending)] = (1.0,)
    prompt_types: Some = ("train", "trigger", "alter", "style")
    pairs: Annotated[tuple[Pair, ...], Listed] = ()
    images: Count = 100  # per concept and prompt type
    steps: Annotated[int, Field(ge=1, le=999)] = 25  # of 1000, and DDIM begins at the second
    guidance: Annotated[float, Field(ge=1, le=100)] = 7.0
    width: Side = 512
    height: Side = 512
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 1000
    batch_size: BatchOrAuto = 8  # "auto": found by a trial, see sampling/batch_size.py
    precision: Literal["auto", Precision] = "auto"  # of weights and arithmetic
    scheduler: Annotated[Text, AfterValidator(schedulers.check)] = schedulers.DDIM
    compile: bool = False  # torch.compile: minutes to start

    @field_validator("strength", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return value if isinstance(value, list | tuple) else (value,)

    @model_validator(mode="after")
    def _enough_steps(self) -> "Sampling":
        schedulers.check_steps(self.scheduler, self.steps)
        return self

    @property
    def sampler(self) -> str:
        """The scheduler's name, without the word that all of them end with."""
        return self.scheduler.removesuffix("Scheduler")

    @property
    def computed_in(self) -> Precision:
        """The precision of weights and arithmetic."""
        return "fp32" if self.precision == "auto" else self.precision

    def identity(self) -> dict[str, Any]:
        """What can change images. Keys that are younger than the first runs are left out at their
        default, so that those runs stay valid. What pairs are asked for, prompts say."""
        left_out = {"batch_size", "compile", "strength", "pairs"}
        if self.scheduler == schedulers.DDIM:
            left_out.add("scheduler")
        return {**self.model_dump(exclude=left_out), "precision": self.computed_in}


class Combination(Table):
    """Several adapters in one model: configurations of the study, or files of any origin."""

    adapters: Annotated[tuple[Text, ...], Listed, Field(min_length=1)]
    strengths: Annotated[tuple[Strength, ...], Listed] | None = None

    @model_validator(mode="after")
    def _one_strength_each(self) -> "Combination":
        if self.strengths is not None and len(self.strengths) != len(self.adapters):
            raise BenchError(
                f"{plural(len(self.strengths), 'strength')} for "
                f"{plural(len(self.adapters), 'adapter')}: "
                "as many are needed, or none"
            )
        if len(set(self.adapters)) != len(self.adapters):
            raise BenchError("an adapter is named twice: give it once, at the sum of strengths")
        return self


class Given(Table):
    """Checkpoints of one training that others ran: adapter files, PEFT folders, or whole models as
    folders or single files. `moments` are when each was written, counted in `unit`; the last file
    may have none, and curves then show it at `last`.

    What is known of the training serves the analysis alone; nothing of it is needed."""

    files: Some
    moments: Moments = ()
    unit: Literal["epoch", "step"] = "epoch"
    last: Annotated[int, Field(ge=0, lt=2**62)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    algorithm: Text = GIVEN
    preset: str = ""
    lr: Annotated[float, Field(ge=0, le=1)] = 0.0
    options: dict[str, int | float | str | bool] = {}

    @model_validator(mode="after")
    def _one_moment_each(self) -> "Given":
        if len(self.files) - len(self.moments) not in (0, 1):
            raise BenchError(
                f"{plural(len(self.moments), 'moment')} for {plural(len(self.files), 'file')}: "
                "each needs its own, but for the last"
            )
        return self


class Scoring(Table):
    """Which metrics look through which encoders (`name` or `name:resizing`); `weights` are an
    encoder's own: a file, or a repository of the hub as `owner/name` or `owner/name@revision`."""

    encoders: Some = ("dinov2-l", "clip-l-datacomp", "vgg19")
    metrics: Names = ()  # none named: all but those on request, which "default" stands for too
    batch_size: Batch = 16
    weights: dict[str, Text] = {}

    def weights_of(self, spec: str) -> str | None:
        """The weights that the study gives an encoder, None: the encoder's own."""
        return self.weights.get(spec.partition(":")[0])


class Settings(Table):
    """A whole study file. `algorithms` holds, per algorithm, a default and what varies;
    `combine` what is made of them or of adapter files; `given` what others trained; `presets`
    layers of one's own."""

    name: Text
    base_model: Text
    dataset: Text
    prompts: Text
    heldout: Text | None = None
    concepts: Some = ("*",)
    seeds: Seeds = (23,)
    epochs: Epochs = ()
    training: Training = Training()
    sampling: Sampling = Sampling()
    scoring: Scoring = Scoring()
    algorithms: dict[str, Any] = {}  # checked by `grid`, against the algorithms there are
    combine: dict[str, Combination] = {}
    given: dict[str, Given] = {}
    presets: dict[str, Any] = {}  # checked by the reader of presets

    def drawing(self) -> dict[str, int | float | str]:
        """What every image of the study is drawn with, besides the model, the prompt and the
        seed of its noise."""
        sampling = self.sampling
        return {
            "steps": sampling.steps, "guidance": sampling.guidance,
            "width": sampling.width, "height": sampling.height,
            "precision": sampling.computed_in, "clip_skip": self.training.clip_skip,
        }  # fmt: skip

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not re.fullmatch(r"\w[\w.-]{0,79}", name) or len(name.encode()) > LONGEST_NAME:
            raise BenchError(
                "it names the run's folder: up to 80 letters, digits, '.', '-' and '_' are "
                "allowed, beginning with a letter or digit"
            )
        return name

    @model_validator(mode="after")
    def _something_to_draw(self) -> "Settings":
        if not self.algorithms and not self.combine and not self.given:
            raise BenchError("nothing is compared: 'algorithms', 'combine' or 'given' is needed")
        if self.algorithms and not self.epochs:
            raise BenchError("'epochs' is missing: which epochs of a training are kept")
        return self
