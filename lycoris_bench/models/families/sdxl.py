"""Stable Diffusion XL: two text encoders side by side, a summary of the text, and the size and
crop of each image."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from lycoris_bench.models.conditioning import Conditioning, back, chunked, counting
from lycoris_bench.models.families.base import (
    READS_TEXT,
    Evidence,
    Family,
    Size,
    TextInFile,
)
from lycoris_bench.models.parts import Parts

if TYPE_CHECKING:
    from lycoris_bench.models.backbone import Backbone

SUMMARY, FRAME = "text_embeds", "time_ids"  # what its U-Net calls them
NUMBERS = 6  # in a frame
INDEX = "model_index.json"
SIZES = "model.diffusion_model.label_emb.0.0.weight"  # reads summary and frame
# SD 3 has a second text encoder too, but is known by its own layers.
SECOND = re.compile(r"(lora|lycoris)_te2_|(.*\.)?text_encoder_2[._]")
DEEP = re.compile(r".*transformer_blocks[._][1-9]")  # more than one in a row
UNET = re.compile(r".*(unet|(down|up|input|output)_blocks)")


class SDXL(Family):
    """The U-Net is conditioned on the embeddings of CLIP and OpenCLIP (width 768 + 1280),
    OpenCLIP's summary of the text, and six numbers of the image's size and crop (`frame`)."""

    name = "Stable Diffusion XL"
    base_model_version = "sdxl_base_v1-0"
    side = 1024
    stated = r"sdxl|sd_?xl|stable-diffusion-xl"
    parts: ClassVar = {
        **Family.parts,
        "text_encoder_2": ("transformers", "CLIPTextModelWithProjection"),
        "tokenizer_2": ("transformers", "CLIPTokenizer"),
    }
    extra_files = (INDEX,)
    texts_in_file = (
        TextInFile("conditioner.embedders.0.transformer."),
        TextInFile("conditioner.embedders.1.model.", "text_encoder_2", True, projects=True),
    )
    unread_in_file = (  # the refiner's only one
        TextInFile("conditioner.embedders.0.model.", "text_encoder_2", True),
    )
    latent_scale = 0.13025
    text_width = 2048
    marks = (READS_TEXT, DEEP, SECOND)

    def in_folder(self, folder: Path) -> Evidence:
        added = self.parts.keys() - Family.parts.keys()
        return Evidence.CERTAIN if any((folder / p).is_dir() for p in added) else Evidence.NONE

    def in_file(self, names: Collection[str]) -> Evidence:
        return Evidence.CERTAIN if SIZES in names else super().in_file(names)

    def in_layers(self, layers: Mapping[str, int | None]) -> Evidence:
        if any(SECOND.match(name) for name in layers) or any(
            DEEP.match(name) for name in layers if UNET.match(name)
        ):
            return max(Evidence.POSSIBLE, super().in_layers(layers))
        return super().in_layers(layers)

    def read_folder(self, folder: Path) -> Parts:
        """Guidance leads away from zeros unless the folder says otherwise, as in its pipeline."""
        index = folder / INDEX
        content = json.loads(index.read_text(encoding="utf-8")) if index.exists() else {}
        zeros = bool(content.get("force_zeros_for_empty_prompt", True))
        return super().read_folder(folder)._replace(zero_empty=zeros)

    def read_file(self, file: Path) -> Parts:
        return super().read_file(file)._replace(zero_empty=True)

    def unet_config(self, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        width = tensors[SIZES].shape[1]
        summary = tensors[f"{self.texts_in_file[1].prefix}text_projection"].shape[1]
        return {
            "addition_embed_type": "text_time",
            "projection_class_embeddings_input_dim": width,
            "addition_time_embed_dim": (width - summary) // NUMBERS,
        }

    def vae_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return torch.float32  # it overflows in fp16

    def encode(
        self, model: "Backbone", prompts: Sequence[str], max_tokens: int | None, clip_skip: int
    ) -> Conditioning:
        """The last layer but one of each encoder, or `clip_skip` - 1 before it; the summary is the
        second encoder's of the first chunk."""
        layers: list[Tensor] = []
        summaries: list[Tensor] = []
        for tokenizer, encoder in zip(model.tokenizers, model.text_encoders, strict=True):
            ids, needed = chunked(tokenizer, prompts, max_tokens)
            n, chunks, length = ids.shape
            flat = ids.to(model.device, non_blocking=True).reshape(n * chunks, length)
            output = encoder(flat, output_hidden_states=True)
            layer = back(output.hidden_states, clip_skip + 1)
            layers.append(layer.reshape(n, chunks * length, -1))
            if hasattr(output, "text_embeds"):
                summaries.append(output.text_embeds.reshape(n, chunks, -1)[:, 0])
        hidden = torch.cat(layers, -1)
        text = Conditioning(hidden, counting([length * chunks for chunks in needed], hidden))
        return text.telling(**{SUMMARY: summaries[-1]})

    def framed(self, text: Conditioning, sizes: Sequence[tuple[Size, Size]]) -> Conditioning:
        """In fp32, as bf16 has 8 bits and turns 1365 into 1368; the U-Net rounds their waves."""
        frames = [frame(*both) for both in sizes]
        told = torch.tensor(frames, dtype=torch.float32)
        return text.telling(**{FRAME: told.to(text.hidden.device, non_blocking=True)})


def frame(size: Size, bucket: Size) -> tuple[int, ...]:
    """Six numbers: height and width of the original, the crop's top and left in it as resized to
    cover the bucket, height and width of the bucket. Sizes are (width, height).

    >>> frame((640, 480), (512, 512))
    (480, 640, 0, 85, 512, 512)
    >>> frame((512, 512), (512, 512))
    (512, 512, 0, 0, 512, 512)
    """
    (width, height), (across, down) = size, bucket
    scale = max(across / width, down / height)
    top, left = (height * scale - down) / 2, (width * scale - across) / 2
    return height, width, round(top), round(left), down, across
