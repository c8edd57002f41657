"""The parts of a base model from one .safetensors file with CompVis's names: SD 1.x, SD 2.x and
SDXL. Structure is read off the shapes; nothing is downloaded, the tokenizer included."""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from lycoris_bench.models import compvis_config, single_file_text
from lycoris_bench.models.clip_tokenizer import clip_tokenizer
from lycoris_bench.models.hub import BackboneError, beside
from lycoris_bench.models.pipeline_folder import Parts, quiet


def read(file: Path) -> Parts:
    """The parts; `BackboneError` where the file is no checkpoint of these families."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from diffusers.loaders.single_file_utils import (
        convert_ldm_unet_checkpoint,
        convert_ldm_vae_checkpoint,
    )

    with safe_open(file, "pt") as handle:
        tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        metadata = handle.metadata() or {}
    if f"{compvis_config.UNET}input_blocks.0.0.weight" not in tensors:
        raise BackboneError("it holds no U-Net under CompVis's names (an adapter, or one part?)")
    unet, vae = compvis_config.unet(tensors), compvis_config.vae(tensors)
    sdxl = "addition_embed_type" in unet
    with quiet():
        return Parts(
            unet=_filled(UNet2DConditionModel, unet, convert_ldm_unet_checkpoint(tensors, unet)),
            text_encoders=single_file_text.read(tensors, sdxl),
            vae=_filled(AutoencoderKL, vae, convert_ldm_vae_checkpoint(tensors, vae)),
            tokenizers=_tokenizers(tensors, sdxl),
            scheduler=DDIMScheduler(
                beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                clip_sample=False, set_alpha_to_one=False, steps_offset=1,
                prediction_type=_prediction(file, tensors, metadata),
                rescale_betas_zero_snr="ztsnr" in tensors,
            ),
            zero_empty=sdxl,
        )  # fmt: skip


def _filled(kind: Any, config: dict[str, Any], weights: dict[str, Tensor]) -> Any:
    """The model with these weights in place of its own; what is missing is an error."""
    with torch.device("meta"):
        model = kind(**config)
    missing, unknown = model.load_state_dict(weights, strict=False, assign=True)
    if missing or unknown:
        raise BackboneError(
            f"its {kind.__name__} lacks {len(missing)} tensors and has {len(unknown)} too many, "
            f"such as {[*missing, *unknown][0]}"
        )
    return model


def _tokenizers(tensors: dict[str, Tensor], sdxl: bool) -> tuple[Any, ...]:
    """CLIP's own, padded with its end; OpenCLIP's pads with token 0, which is '!'."""
    if sdxl:
        return clip_tokenizer(), clip_tokenizer(pad="!")
    open_clip = any(name.startswith("cond_stage_model.model.") for name in tensors)
    return (clip_tokenizer(pad="!") if open_clip else clip_tokenizer(),)


def _prediction(file: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    """Noise or velocity: what the file says of itself, else the .yaml beside it; SD 1.x and SDXL
    predict noise where nothing is said. Of SD 2.x both kinds exist and look the same."""
    told = metadata.get("modelspec.predict_key", "")
    if "v_pred" in tensors:
        told = "v"
    if not told and beside(file).exists():
        text = beside(file).read_text(encoding="utf-8")
        found = re.search(r"^\s*parameterization:\s*[\"']?(\w+)", text, re.MULTILINE)
        told = found[1] if found else "eps"
    if not told and any(name.startswith("cond_stage_model.model.") for name in tensors):
        raise BackboneError(
            "an SD 2.x file does not say whether it predicts noise or velocity: put "
            f"'{beside(file).name}' beside it with the line 'parameterization: v' (768 pixels) "
            "or 'parameterization: eps' (512 pixels)"
        )
    if told not in ("", "v", "eps", "epsilon"):
        raise BackboneError(f"it says that it predicts '{told}'; allowed are v and epsilon")
    return "v_prediction" if told == "v" else "epsilon"
