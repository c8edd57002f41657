"""Stable Diffusion 1.5, 2.1 and XL with random weights, at full width or narrowed: what can be
tested and timed without downloading any of them. Throughput does not depend on the weights."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from lycoris_bench.models.clip_tokenizer import SIZE, clip_tokenizer, write
from lycoris_bench.models.families.sd1 import SD1
from lycoris_bench.models.families.sd2 import SD2
from lycoris_bench.models.families.sdxl import SDXL
from lycoris_bench.models.parts import Parts
from lycoris_bench.models.pipeline_folder import quiet


class Text(NamedTuple):
    """A text encoder: width, layers, heads; whether it is OpenCLIP's, and whether it projects."""

    width: int
    layers: int
    heads: int
    open_clip: bool = False
    projects: bool = False


class Architecture(NamedTuple):
    """What tells the families apart. A depth of 0 is a level without attention."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    texts: tuple[Text, ...]
    vae: tuple[int, ...]
    prediction: str = "epsilon"
    linear: bool = True
    scale: float = 0.18215


FAMILY = {"sd15": SD1, "sd2": SD2, "sdxl": SDXL}
WIDTHS, VAE = (320, 640, 1280, 1280), (128, 256, 512, 512)
FULL = {
    "sd15": Architecture(WIDTHS, (1, 1, 1, 0), (8,) * 4, (Text(768, 12, 12),), VAE, linear=False),
    "sd2": Architecture(
        WIDTHS, (1, 1, 1, 0), (5, 10, 20, 20), (Text(1024, 23, 16, open_clip=True),), VAE,
        "v_prediction",
    ),
    "sdxl": Architecture(
        (320, 640, 1280), (0, 2, 10), (5, 10, 20),
        (Text(768, 12, 12), Text(1280, 32, 20, open_clip=True, projects=True)), VAE, scale=0.13025,
    ),
}  # fmt: skip
NARROW = {
    "sd15": Architecture(
        (32, 64, 128, 128), (1, 1, 1, 0), (8,) * 4, (Text(64, 12, 1),), (32,) * 4, linear=False
    ),
    "sd2": Architecture(
        (64, 128, 192, 192), (1, 1, 1, 0), (1, 2, 3, 3), (Text(128, 3, 2, open_clip=True),),
        (32,) * 4, "v_prediction",
    ),
    "sdxl": Architecture(
        (64, 128, 192), (0, 2, 3), (1, 2, 3),
        (Text(64, 3, 1), Text(128, 4, 2, open_clip=True, projects=True)), (32,) * 4, scale=0.13025,
    ),
}  # fmt: skip
TIME_WIDTH, TIME_IDS = {True: 32, False: 256}, 6


def parts(family: str, narrow: bool = False, seed: int = 0) -> Parts:
    """The parts of `sd15`, `sd2` or `sdxl` with random weights; the real tokenizer."""
    made = (NARROW if narrow else FULL)[family]
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(seed)
        return Parts(
            family=FAMILY[family](),
            unet=_unet(made, narrow),
            text_encoders=tuple(map(_text, made.texts)),
            vae=AutoencoderKL(
                block_out_channels=made.vae, latent_channels=4, scaling_factor=made.scale,
                layers_per_block=2, down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
            ),
            tokenizers=tuple(clip_tokenizer(_pad(text)) for text in made.texts),
            scheduler=DDIMScheduler(
                beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
                clip_sample=False, set_alpha_to_one=False, prediction_type=made.prediction,
            ),
            zero_empty=len(made.texts) > 1,
        )  # fmt: skip


def _unet(made: Architecture, narrow: bool) -> Any:
    added: dict[str, Any] = {}
    if len(made.texts) > 1:
        added = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": TIME_WIDTH[narrow],
            "projection_class_embeddings_input_dim": (
                made.texts[-1].width + TIME_IDS * TIME_WIDTH[narrow]
            ),
        }
    kinds = ["CrossAttn" if depth else "" for depth in made.depths]
    return UNet2DConditionModel(
        sample_size=64, block_out_channels=made.widths, layers_per_block=2,
        down_block_types=tuple(f"{kind}DownBlock2D" for kind in kinds),
        up_block_types=tuple(f"{kind}UpBlock2D" for kind in reversed(kinds)),
        transformer_layers_per_block=tuple(max(1, depth) for depth in made.depths),
        cross_attention_dim=sum(text.width for text in made.texts),
        attention_head_dim=made.heads, use_linear_projection=made.linear, **added,
    )  # fmt: skip


def _text(text: Text) -> Any:
    kind = CLIPTextModelWithProjection if text.projects else CLIPTextModel
    return kind(
        CLIPTextConfig(
            vocab_size=SIZE, hidden_size=text.width, intermediate_size=4 * text.width,
            num_hidden_layers=text.layers, num_attention_heads=text.heads,
            projection_dim=text.width, hidden_act="gelu" if text.open_clip else "quick_gelu",
            bos_token_id=SIZE - 2, eos_token_id=SIZE - 1,
            pad_token_id=0 if text.open_clip else SIZE - 1,
        )
    )  # fmt: skip


def _pad(text: Text) -> str:
    return "!" if text.open_clip else "<|endoftext|>"


def save(folder: Path, family: str, narrow: bool = True, seed: int = 0) -> Path:
    """The same as the folder of a pipeline, which is returned."""
    made = parts(family, narrow, seed)
    named = {"unet": made.unet, "vae": made.vae, "scheduler": made.scheduler}
    for k, encoder in enumerate(made.text_encoders):
        end = "" if k == 0 else f"_{k + 1}"
        named[f"text_encoder{end}"] = encoder
        write(folder / f"tokenizer{end}", made.tokenizers[k].pad_token)
    with quiet():
        for name, part in named.items():
            part.save_pretrained(folder / name)
    index = {"force_zeros_for_empty_prompt": made.zero_empty}
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder
