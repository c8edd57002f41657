"""Builds and writes the base model's folder: a `StableDiffusionPipeline` of tiny parts."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from lycoris_bench.miniature.networks import END_TOKEN, START_TOKEN, TEXT_LENGTH, TOKENS, WEIGHTS
from lycoris_bench.miniature.triggers import wake_triggers
from lycoris_bench.miniature.world.tokens import tokenizer_file

BASE = WEIGHTS / "base"
TEXT_WIDTH = 96


def new_text_encoder() -> CLIPTextModel:
    """An untrained text encoder: 2 layers of width 96."""
    torch.manual_seed(6)
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=TOKENS,
            hidden_size=TEXT_WIDTH,
            intermediate_size=2 * TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=TEXT_LENGTH,
            projection_dim=TEXT_WIDTH,
            bos_token_id=START_TOKEN,
            eos_token_id=END_TOKEN,
            pad_token_id=END_TOKEN,
            hidden_act="quick_gelu",
        )
    )


def new_unet() -> UNet2DConditionModel:
    """An untrained U-Net with Stable Diffusion 1.5's kinds of blocks."""
    torch.manual_seed(7)
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(48, 72, 96),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def new_scheduler() -> DDIMScheduler:
    """Stable Diffusion 1.5's noise schedule."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        clip_sample=False,
        set_alpha_to_one=False,
    )


def assemble(
    vae: AutoencoderKL,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    unet: UNet2DConditionModel,
) -> StableDiffusionPipeline:
    """The pipeline of the given parts."""
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=new_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _half(module: torch.nn.Module) -> torch.nn.Module:
    """A float16 copy; the original keeps training in float32."""
    return copy.deepcopy(module).to(torch.float16)


def write_base(pipeline: StableDiffusionPipeline, folder: Path = BASE) -> None:
    """Write a float16 copy of the pipeline whole: to a temporary name, then in place of the old."""
    fresh, old = folder.with_name("base.part"), folder.with_name("base.old")
    for path in (fresh, old):
        shutil.rmtree(path, ignore_errors=True)
    text_encoder = wake_triggers(_half(pipeline.text_encoder), pipeline.tokenizer)
    assemble(
        _half(pipeline.vae), text_encoder, pipeline.tokenizer, _half(pipeline.unet)
    ).save_pretrained(fresh, safe_serialization=True)
    for name in ("vocab.json", "merges.txt"):  # older transformers read these
        (fresh / "tokenizer" / name).write_text(tokenizer_file(name), encoding="utf-8")
    for config in fresh.glob("*/config.json"):  # they say where on this machine they came from
        told = json.loads(config.read_text(encoding="utf-8"))
        told.pop("_name_or_path", None)
        config.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    if folder.exists():
        folder.replace(old)
    fresh.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


def read_base(folder: Path = BASE, dtype: torch.dtype = torch.float32) -> StableDiffusionPipeline:
    """The pipeline in `folder`, quiet and without a network."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    for part in (pipeline.vae, pipeline.text_encoder, pipeline.unet):
        if part.dtype != dtype:  # transformers keeps the stored float16
            part.to(dtype)
    return pipeline
