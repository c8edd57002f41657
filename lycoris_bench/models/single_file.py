"""Reads the parts of a base model from one .safetensors file with CompVis's names. The structure
follows from the shapes; nothing is downloaded, not even the tokenizer."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from torch import Tensor

from lycoris_bench.messages.numbers import plural
from lycoris_bench.models import compvis_config, single_file_text
from lycoris_bench.models.clip_tokenizer import clip_tokenizer
from lycoris_bench.models.parts import BackboneError, Parts
from lycoris_bench.models.pipeline_folder import quiet

if TYPE_CHECKING:
    from lycoris_bench.models.families.base import Family

FIRST = f"{compvis_config.UNET}input_blocks.0.0.weight"


def names(file: Path) -> list[str]:
    """The names of a file's tensors; `BackboneError` where they are of no base model."""
    with safe_open(file, "pt") as handle:
        keys = list(handle.keys())
    if FIRST not in keys:
        raise BackboneError("it holds no U-Net under CompVis's names (an adapter, or one part?)")
    return keys


def read(family: "Family", file: Path) -> Parts:
    """The parts in a file of the family. BackboneError: tensors of a part are missing."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from diffusers.loaders.single_file_utils import (
        convert_ldm_unet_checkpoint,
        convert_ldm_vae_checkpoint,
    )

    with safe_open(file, "pt") as handle:
        tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        metadata = handle.metadata() or {}
    unet = compvis_config.unet(tensors) | family.unet_config(tensors)
    vae = compvis_config.vae(tensors) | {"scaling_factor": family.latent_scale}
    with quiet():
        return Parts(
            family=family,
            unet=_filled(UNet2DConditionModel, unet, convert_ldm_unet_checkpoint(tensors, unet)),
            text_encoders=tuple(
                single_file_text.read(tensors, text) for text in family.texts_in_file
            ),
            vae=_filled(AutoencoderKL, vae, convert_ldm_vae_checkpoint(tensors, vae)),
            # CLIP's own is padded with its end, OpenCLIP's with token 0, which is '!'
            tokenizers=tuple(
                clip_tokenizer(pad="!") if text.open_clip else clip_tokenizer()
                for text in family.texts_in_file
            ),
            scheduler=DDIMScheduler(
                **family.schedule,
                prediction_type=_prediction(family, file, tensors, metadata),
                rescale_betas_zero_snr="ztsnr" in tensors,
            ),
        )


def yaml_of(file: Path) -> Path:
    """The path of the .yaml of the same name, which may state a single file's prediction type."""
    return file.with_suffix(".yaml")


def _filled(kind: Any, config: dict[str, Any], weights: dict[str, Tensor]) -> Any:
    """A model with these weights. BackboneError: tensors are missing or unknown."""
    with torch.device("meta"):
        model = kind(**config)
    missing, unknown = model.load_state_dict(weights, strict=False, assign=True)
    if missing or unknown:
        raise BackboneError(
            f"its {kind.__name__} lacks {plural(len(missing), 'tensor')} and has {len(unknown)} "
            f"too many, such as {[*missing, *unknown][0]}"
        )
    return model


def _prediction(
    family: "Family", file: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> str:
    """The prediction type: from the file's metadata, else the .yaml of the same name, else the
    family's default for files that do not state it."""
    stated = metadata.get("modelspec.predict_key", "")
    if "v_pred" in tensors:
        stated = "v"
    if not stated and yaml_of(file).exists():
        text = yaml_of(file).read_text(encoding="utf-8")
        line = re.search(r"^\s*parameterization:\s*[\"']?(\w+)", text, re.MULTILINE)
        stated = line[1] if line else "eps"
    if not stated:
        return family.prediction_of(file)
    if stated not in ("v", "eps", "epsilon"):
        raise BackboneError(f"it says that it predicts '{stated}'; allowed are v and epsilon")
    return "v_prediction" if stated == "v" else "epsilon"
