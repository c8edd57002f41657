"""The tables of a study file and the values they allow. Configuration stops at the door: what
passes here is handed on as plain keywords. Defaults are the paper's (section 4, appendix D)."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lycoris_bench.errors import BenchError

Positive = Annotated[int, Field(ge=1)]
Precision = Literal["fp32", "bf16", "fp16"]
Side = Annotated[int, Field(ge=8, le=4096, multiple_of=8)]


class Table(BaseModel):
    """A table that refuses unknown keys and never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Training(Table):
    """How every configuration is trained; what varies is in `algorithms`."""

    resolution: Side = 512
    bucket_step: Side = 64
    bucket_min: Side = 320
    bucket_max: Side = 960
    batch_size: Positive = 8
    images_per_class: Positive = 200  # each class repeats its images to about this many an epoch
    warmup_epochs: Annotated[float, Field(ge=0)] = 5.0
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 0.1
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        0.9,
        0.99,
    )
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    caption_dropout: Annotated[float, Field(ge=0, le=1)] = 0.05
    max_tokens: Positive = 150
    clip_skip: Positive = 1
    precision: Precision = "fp32"
    optimizer: Literal["adamw", "adamw8bit"] = "adamw"  # 8-bit on CUDA, plain elsewhere
    gradient_accumulation: Positive = 1  # batches a step
    gradient_checkpointing: bool = False  # less memory, more time
    cache_latents: bool = False  # kept on disk for later runs
    tensorboard: bool = False

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
        left_out = {"gradient_checkpointing", "cache_latents", "tensorboard"}
        if self.gradient_accumulation == 1:
            left_out.add("gradient_accumulation")
        return self.model_dump(exclude=left_out)


class Sampling(Table):
    """How images are drawn: DDIM, the same noise seeds for every checkpoint and for base.

    Each strength of a list is drawn and scored as a checkpoint of its own. `base_model` draws
    with another model than the one that was trained on."""

    base_model: str | None = None
    strength: tuple[Annotated[float, Field(ge=-10, le=10)], ...] = (1.0,)
    prompt_types: tuple[str, ...] = ("train", "trigger", "alter", "style")
    images: Positive = 100  # per concept and prompt type
    steps: Annotated[int, Field(ge=1, le=1000)] = 25
    guidance: Annotated[float, Field(ge=1, le=100)] = 7.0
    width: Side = 512
    height: Side = 512
    seed: Annotated[int, Field(ge=0)] = 1000
    batch_size: Positive = 8
    precision: Precision = "fp32"  # of weights and arithmetic
    compile: bool = False  # torch.compile: faster, minutes to start

    @field_validator("strength", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        several = value if isinstance(value, list | tuple) else (value,)
        if not several or list(several) != sorted(set(several)):
            raise BenchError("a number or a list of them is needed, ascending, each once")
        return tuple(several)


class Combination(Table):
    """Several adapters in one model: configurations of the study, or files of any origin."""

    adapters: Annotated[tuple[str, ...], Field(min_length=1)]
    strengths: tuple[Annotated[float, Field(ge=-10, le=10)], ...] | None = None

    @model_validator(mode="after")
    def _one_strength_each(self) -> "Combination":
        if self.strengths is not None and len(self.strengths) != len(self.adapters):
            raise BenchError(
                f"{len(self.strengths)} strengths for {len(self.adapters)} adapters: "
                "as many are needed, or none"
            )
        if len(set(self.adapters)) != len(self.adapters):
            raise BenchError("an adapter is named twice: give it once, at the sum of strengths")
        return self


class Scoring(Table):
    """Which metrics look through which encoders (`name` or `name:resizing`)."""

    encoders: tuple[str, ...] = ("dinov2-l", "clip-l-datacomp", "vgg19")
    metrics: tuple[str, ...] = ()  # none named: all
    batch_size: Positive = 16


class Settings(Table):
    """A whole study file. `algorithms` holds, per algorithm, a default and what varies;
    `combine` what is made of them or of adapter files; `presets` layers of one's own."""

    name: Annotated[str, Field(pattern=r"^[\w.-]+$", max_length=80)]
    base_model: str
    dataset: str
    prompts: str
    heldout: str | None = None
    concepts: tuple[str, ...] = ("*",)
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = (23,)
    epochs: tuple[Annotated[int, Field(ge=1, le=100_000)], ...] = ()
    training: Training = Training()
    sampling: Sampling = Sampling()
    scoring: Scoring = Scoring()
    algorithms: dict[str, dict[str, Any]] = {}
    combine: dict[str, Combination] = {}
    presets: dict[str, dict[str, Any] | str] = {}

    @field_validator("seeds", "epochs")
    @classmethod
    def _ascending(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if not values or list(values) != sorted(set(values)):
            raise BenchError("at least one is needed, ascending, each once")
        return values

    @model_validator(mode="after")
    def _something_to_draw(self) -> "Settings":
        if not self.algorithms and not self.combine:
            raise BenchError("nothing is compared: 'algorithms' or 'combine' is needed")
        if self.algorithms and not self.epochs:
            raise BenchError("'epochs' is missing: which epochs of a training are kept")
        return self
