"""The parts of a base model from the folder of a `StableDiffusionPipeline` or its SDXL kin."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lycoris_bench.models.hub import BackboneError


class Parts(NamedTuple):
    """What a base model is made of, on the CPU and in whatever precision its files have."""

    unet: Any
    text_encoders: tuple[Any, ...]
    vae: Any
    tokenizers: tuple[Any, ...]
    scheduler: Any
    zero_empty: bool


def read(folder: Path) -> Parts:
    """The parts of a complete folder; what is wrong in it raises, each reader in its own way."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    two = (folder / "text_encoder_2").is_dir()
    with quiet():
        encoders = [_weights(CLIPTextModel, folder, "text_encoder")]
        tokenizers = [CLIPTokenizer.from_pretrained(folder / "tokenizer")]
        if two:
            encoders.append(_weights(CLIPTextModelWithProjection, folder, "text_encoder_2"))
            tokenizers.append(CLIPTokenizer.from_pretrained(folder / "tokenizer_2"))
        return Parts(
            unet=_weights(UNet2DConditionModel, folder, "unet"),
            text_encoders=tuple(encoders),
            vae=_weights(AutoencoderKL, folder, "vae"),
            tokenizers=tuple(tokenizers),
            scheduler=DDIMScheduler.from_pretrained(folder, subfolder="scheduler"),
            zero_empty=two and _zero_empty(folder),
        )


def _zero_empty(folder: Path) -> bool:
    """What SDXL's pipeline does where its file does not say: guide away from zeros."""
    index = folder / "model_index.json"
    told = json.loads(index.read_text(encoding="utf-8")) if index.exists() else {}
    return bool(told.get("force_zeros_for_empty_prompt", True))


def _weights(model: Any, folder: Path, name: str) -> Any:
    """The full weights, or where only those are there the fp16 ones. Keys that are missing or of
    another shape are refused: readers fill them with random numbers and go on."""
    files = [file.name for file in (folder / name).iterdir()]
    plain = any(".fp16." not in f and f.endswith((".safetensors", ".bin")) for f in files)
    loaded, about = model.from_pretrained(
        folder / name, variant=None if plain else "fp16", output_loading_info=True
    )
    if missing := sorted(about["missing_keys"]):
        raise BackboneError(f"{name} lacks {len(missing)} tensors, such as {missing[0]}")
    return loaded


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the loaders' own bars and hints: what matters is raised."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    with contextlib.ExitStack() as undo:
        for log in (diffusers_logging, transformers_logging):
            undo.callback(log.set_verbosity, log.get_verbosity())
            log.set_verbosity_error()
            if log.is_progress_bar_enabled():
                undo.callback(log.enable_progress_bar)
                log.disable_progress_bar()
        yield
