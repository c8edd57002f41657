"""The base class of model families: one object with all that differs between families.

The defaults are those of a latent diffusion model with a U-Net and one CLIP text encoder. A new
family is one file with a subclass that says what is different; nothing else names it."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from lycoris_bench.models import pipeline_folder, single_file
from lycoris_bench.models.conditioning import Conditioning, chunked, encoded
from lycoris_bench.models.parts import BackboneError, Outline, Parts

if TYPE_CHECKING:
    from lycoris_bench.models.backbone import Backbone

Size = tuple[int, int]
"""Width and height in pixels."""
READS_TEXT = re.compile(r".*attn2[._]to_[kv]")  # of a U-Net; as wide as the text's embeddings


class Evidence(IntEnum):
    """How certain it is that files belong to a family; the most certain family is taken."""

    NONE = 0
    POSSIBLE = 1  # nothing speaks against it, but other families look the same
    LIKELY = 2
    CERTAIN = 3  # by what no other family has


class TextInFile(NamedTuple):
    """Where a single file keeps a text encoder: what its tensors' names begin with, the part that
    it is, and what is not used of it."""

    prefix: str
    part: str = "text_encoder"
    open_clip: bool = False  # under OpenCLIP's names, else under CLIP's
    unused_layers: int = 0  # at the end
    projects: bool = False  # whether its projection is used


class Family:
    """A family of base models. Its objects hold nothing: what differs from model to model is in
    its `Parts`, and each method is given the `Backbone` that it works on."""

    # ---- names
    name: ClassVar[str]  # in reports and messages
    base_model_version: ClassVar[str]  # what `ss_base_model_version` says
    stated: ClassVar[str]  # how metadata that name the family begin, as a pattern
    side: ClassVar[int] = 512  # pixels of the images that it was trained on, along a side
    revision: ClassVar[str] = ""  # part of a model's identity: change it when images change

    # ---- files
    parts: ClassVar[Mapping[str, tuple[str, str] | type]] = {  # of a pipeline's folder
        "unet": ("diffusers", "UNet2DConditionModel"),
        "text_encoder": ("transformers", "CLIPTextModel"),
        "vae": ("diffusers", "AutoencoderKL"),
        "tokenizer": ("transformers", "CLIPTokenizer"),
        "scheduler": ("diffusers", "DDIMScheduler"),
    }
    extra_files: ClassVar[tuple[str, ...]] = ()  # files outside the parts' folders, read by loading
    texts_in_file: ClassVar[tuple[TextInFile, ...]] = ()  # none: no single file is read
    unread_in_file: ClassVar[tuple[TextInFile, ...]] = ()  # those that only adapter tools change
    latent_scale: ClassVar[float] = 0.18215  # of a single file; a folder's VAE says its own
    schedule: ClassVar[Mapping[str, Any]] = {  # of a single file, for DDIMScheduler
        "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
        "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1,
    }  # fmt: skip

    # ---- layers
    text_width: ClassVar[int] = 0  # of the text's embeddings; 0 where it tells nothing
    marks: ClassVar[tuple[re.Pattern[str], ...]] = (READS_TEXT,)  # layers that tell the family

    known_classes: ClassVar[Mapping[str, str]] = {}  # its own -> those that presets know it by

    # ---- which files are of this family

    def in_folder(self, folder: Path) -> Evidence:
        """Whether it is a pipeline's folder of this family: whether its parts' files name the
        classes of `parts`. Those of the defaults are of more than one family."""
        classes = {
            part: kind[1] if isinstance(kind, tuple) else kind.__name__
            for part, kind in self.parts.items()
            if not part.startswith(("tokenizer", "scheduler"))
        }
        configs = {part: config(folder, part) for part in classes}
        alike = classes and all(
            classes[part] in (about.get("_class_name"), *(about.get("architectures") or ()))
            for part, about in configs.items()
        )
        if not alike:
            return Evidence.NONE
        return Evidence.POSSIBLE if self.parts == Family.parts else Evidence.LIKELY

    def in_file(self, names: Collection[str]) -> Evidence:
        """Whether a single file with tensors of these names is of this family."""
        prefixes = [text.prefix for text in self.texts_in_file]
        present = [any(name.startswith(prefix) for name in names) for prefix in prefixes]
        return Evidence.LIKELY if present and all(present) else Evidence.NONE

    def in_layers(self, layers: Mapping[str, int | None]) -> Evidence:
        """Whether layers (name -> number of inputs, None: not known) are of this family."""
        wide = any(READS_TEXT.match(n) for n, inputs in layers.items() if inputs == self.text_width)
        return Evidence.LIKELY if wide else Evidence.NONE

    def in_metadata(self, text: str, metadata: Mapping[str, str]) -> bool:
        """Whether metadata are of this family, where `text` is what they call the base model."""
        return bool(text and re.match(self.stated, text.lower()))

    # ---- loading

    def read_folder(self, folder: Path) -> Parts:
        """The parts of a complete folder. Errors are those of the readers, of any kind."""
        return pipeline_folder.read(self, folder)

    def read_file(self, file: Path) -> Parts:
        """The parts of a single file; `BackboneError` where it is none of this family."""
        return single_file.read(self, file)

    def prediction_of(self, file: Path) -> str:
        """The prediction type of a single file that does not state it."""
        return "epsilon"

    def unet_config(self, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        """Keywords of the U-Net in a single file, besides those that every family has."""
        return {}

    def outline(self, folder: Path) -> Outline:
        """Denoiser and text encoders of a folder without their weights."""
        return pipeline_folder.outline(self, folder)

    def outline_of(self, name: str) -> Outline | None:
        """The outline of a model that is not on this machine, if its name tells its structure."""
        return None

    def check(self, parts: Parts) -> None:
        """BackboneError: the model would draw wrongly, since it takes more inputs than noise and
        text."""
        channels, given = parts.unet.config.in_channels, parts.vae.config.latent_channels
        if channels != given:
            raise BackboneError(
                f"its U-Net takes {channels} channels and its VAE makes {given}: "
                "inpainting and editing models are not supported"
            )
        if getattr(parts.vae.config, "latents_mean", None) is not None:
            raise BackboneError("latents with a mean of their own are not supported")

    def prepare(self, parts: Parts) -> None:
        """Makes parts ready for use: limits each tokenizer to the positions of its text encoder, as
        a tokenizer whose file states no length has 10^30."""
        for tokenizer, encoder in zip(parts.tokenizers, parts.text_encoders, strict=False):
            positions = encoder.config.max_position_embeddings
            tokenizer.model_max_length = min(tokenizer.model_max_length, positions)

    def vae_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """The dtype of the VAE where the other parts compute in `dtype`."""
        return dtype

    # ---- what the denoiser is told

    def encode(
        self, model: "Backbone", prompts: Sequence[str], max_tokens: int | None, clip_skip: int
    ) -> Conditioning:
        """Prompts as conditioning. `clip_skip` counts layers of the text encoder from the one that
        the base model was trained on, which is 1."""
        ids, needed = chunked(model.tokenizers[0], prompts, max_tokens)
        ids = ids.to(model.device, non_blocking=True)
        return encoded(model.text_encoders[0], ids, needed, clip_skip)

    def framed(self, text: Conditioning, sizes: Sequence[tuple[Size, Size]]) -> Conditioning:
        """Adds each image's size, given as (its own, its bucket's), to the text's conditioning."""
        return text

    def led_away_from(self, model: "Backbone", empty: Conditioning) -> Conditioning:
        """The conditioning that guidance leads away from: the empty prompt's, or zeros."""
        return empty.each(torch.zeros_like) if model.zero_empty else empty

    # ---- diffusion

    def latent_scale_and_shift(self, model: "Backbone") -> tuple[float, float]:
        """(scale, shift) of latents = scale (z - shift), z being what the VAE encodes to."""
        about = model.vae.config
        return about.scaling_factor, getattr(about, "shift_factor", None) or 0.0

    def timesteps(self, model: "Backbone", count: int, draw: torch.Generator) -> Tensor:
        """Timesteps [count] of a training step: drawn uniformly."""
        return torch.randint(model.scheduler.config.num_train_timesteps, (count,), generator=draw)

    def add_noise(
        self, model: "Backbone", latents: Tensor, noise: Tensor, timesteps: Tensor
    ) -> Tensor:
        """sqrt(abar_t) latents + sqrt(1 - abar_t) noise."""
        return model.scheduler.add_noise(latents, noise, timesteps)

    def target(
        self, model: "Backbone", latents: Tensor, noise: Tensor, timesteps: Tensor
    ) -> Tensor:
        """What the denoiser should predict: the noise, or the velocity for models that do so."""
        kind = model.scheduler.config.prediction_type
        if kind == "epsilon":
            return noise
        if kind == "v_prediction":
            return model.scheduler.get_velocity(latents, noise, timesteps)
        raise BackboneError(f"training a base model that predicts '{kind}' is not supported")

    def predict(
        self, model: "Backbone", noisy: Tensor, timesteps: Tensor, text: Conditioning
    ) -> Tensor:
        """The denoiser's output for noisy latents [n, c, h, w] at timesteps [n] or []."""
        return model.unet(
            noisy, timesteps, encoder_hidden_states=text.hidden, encoder_attention_mask=text.mask,
            added_cond_kwargs=text.added or None, return_dict=False,
        )[0]  # fmt: skip


def config(folder: Path, part: str) -> dict[str, Any]:
    """The content of a part's config.json; empty where it cannot be read: loading reports that."""
    try:
        content = json.loads((folder / part / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
