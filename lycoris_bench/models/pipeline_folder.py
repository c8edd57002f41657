"""Reads the parts of a base model from the folder of a diffusers pipeline."""

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lycoris_bench.messages.numbers import plural
from lycoris_bench.models.parts import BackboneError, Outline, Parts

if TYPE_CHECKING:
    from lycoris_bench.models.families.base import Family

DENOISERS = ("unet", "transformer")


def read(family: "Family", folder: Path) -> Parts:
    """The parts that a family has, each read by its own class."""
    with quiet():
        parts = {name: read_part(kind, folder, name) for name, kind in classes(family).items()}
    return Parts(
        family, _denoiser(parts), _several(parts, "text_encoder"), parts["vae"],
        _several(parts, "tokenizer"), parts["scheduler"],
    )  # fmt: skip


def outline(family: "Family", folder: Path) -> Outline:
    """Denoiser and text encoders by their configurations, on the meta device."""
    parts = {}
    with torch.device("meta"):
        for name, kind in classes(family).items():
            if name in DENOISERS or name.startswith("text_encoder"):
                if hasattr(kind, "config_class"):  # of transformers
                    parts[name] = kind(kind.config_class.from_pretrained(folder / name))
                else:
                    parts[name] = kind.from_config(kind.load_config(folder / name))
    return Outline(_denoiser(parts), _several(parts, "text_encoder"))


def classes(family: "Family") -> dict[str, Any]:
    """Part -> the class that reads it."""
    return {
        part: getattr(importlib.import_module(kind[0]), kind[1])
        if isinstance(kind, tuple)
        else kind
        for part, kind in family.parts.items()
    }


def _denoiser(parts: dict[str, Any]) -> Any:
    return next(parts[part] for part in DENOISERS if part in parts)


def _several(parts: dict[str, Any], start: str) -> tuple[Any, ...]:
    return tuple(value for part, value in parts.items() if part.startswith(start))


def read_part(kind: Any, folder: Path, part: str) -> Any:
    """Reads a part: a network with its full weights, or the fp16 ones where there are no others.
    BackboneError: weights are missing or of another shape, which the libraries would fill with
    random numbers."""
    if not issubclass(kind, torch.nn.Module):
        return kind.from_pretrained(folder / part)
    files = [file.name for file in (folder / part).iterdir()]
    plain = any(".fp16." not in f and f.endswith((".safetensors", ".bin")) for f in files)
    loaded, about = kind.from_pretrained(
        folder / part, variant=None if plain else "fp16", output_loading_info=True
    )
    if missing := sorted(about["missing_keys"]):
        raise BackboneError(f"{part} lacks {plural(len(missing), 'tensor')}, such as {missing[0]}")
    return loaded


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences the progress bars and hints of diffusers and transformers; errors are raised."""
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
