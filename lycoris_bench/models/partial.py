"""Folders that hold some parts of a base model, as trainers leave them that train the U-Net alone:
the other parts are those of the base model that was trained."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lycoris_bench.models import families, pipeline_folder
from lycoris_bench.models.families.base import Family, config
from lycoris_bench.models.hub import content_of, read_by_loading
from lycoris_bench.models.parts import BackboneError, Parts

DENOISERS = pipeline_folder.DENOISERS
AVERAGED = "unet_ema"  # beside `unet`: the averages over training, where a trainer keeps them
WEIGHTS = (".safetensors", ".bin")
WIDTH = "cross_attention_dim"  # of the text that a U-Net reads


def lacking(folder: Path) -> list[str]:
    """The parts of a base model that a folder lacks; none for a file, and for a folder that is
    complete."""
    if folder.is_file():
        return []
    parts = families.of_folder(folder).parts
    there = places(parts, folder)
    return [part for part in parts if part not in there]


def identity(folder: Path) -> str:
    """16 hex digits for the weights and configurations of the parts that a folder holds: SHA-256
    over part, name and content of each file that loading may read."""
    total = hashlib.sha256()
    names = sorted({part for family in families.families() for part in family.parts})
    for part, place in places(names, folder).items():
        for file in sorted(read_by_loading(place.parent, [place.name])):
            total.update(f"{part}/{file.name}\0{content_of(file)}\n".encode())
    return total.hexdigest()[:16]


def is_denoiser(folder: Path) -> bool:
    """Whether a folder is itself the denoiser: `unet`, or `unet_ema`, of a training."""
    name = str(config(folder.parent, folder.name).get("_class_name", ""))
    return name.startswith("UNet") or name.endswith("Transformer2DModel")


def places(parts: Iterable[str], folder: Path) -> dict[str, Path]:
    """Part -> its folder, of those parts that a folder holds or is."""
    if is_denoiser(folder):
        return {part: folder for part in parts if part in DENOISERS}
    return {part: folder / part for part in parts if (folder / part).is_dir()}


def read(folder: Path, rest: Parts) -> Parts:
    """The parts of a base model, those that the folder holds in place of its own. BackboneError:
    the folder has no denoiser of the family, or one for other texts."""
    kinds = pipeline_folder.classes(rest.family)
    with pipeline_folder.quiet():
        new = {
            part: pipeline_folder.read_part(kinds[part], place.parent, place.name)
            for part, place in places(kinds, folder).items()
        }
    unet = next((new[part] for part in DENOISERS if part in new), None)
    if unet is None:
        raise BackboneError(f"it holds no denoiser for {rest.family.name}")
    widths = [getattr(model.config, WIDTH, None) for model in (unet, rest.unet)]
    if widths[0] != widths[1]:
        raise BackboneError(misfit(*widths))
    return rest._replace(
        unet=unet, vae=new.get("vae", rest.vae), scheduler=new.get("scheduler", rest.scheduler),
        text_encoders=_several(rest.family, "text_encoder", new, rest.text_encoders),
        tokenizers=_several(rest.family, "tokenizer", new, rest.tokenizers),
    )  # fmt: skip


def _several(
    family: Family, start: str, new: Mapping[str, Any], old: tuple[Any, ...]
) -> tuple[Any, ...]:
    names = [part for part in family.parts if part.startswith(start)]
    return tuple(new.get(name, one) for name, one in zip(names, old, strict=True))


def unfit(folder: Path, base: Path) -> str | None:
    """Why a folder's denoiser is not of the base model, as the rest of a sentence, by their
    configurations alone; None where nothing speaks against it. A base model in one file is not
    looked at: loading tells."""
    denoiser = _denoiser(folder)
    if denoiser is None:
        return "holds no denoiser"
    if not any(file.suffix in WEIGHTS for file in denoiser.iterdir()):
        return f"holds no weights in {denoiser.name}"
    if not config(denoiser.parent, denoiser.name):
        return f"has no {denoiser.name}/config.json, which says how its U-Net is built"
    of_base = _denoiser(base)
    if of_base is None:
        return None
    widths = [config(place.parent, place.name).get(WIDTH) for place in (denoiser, of_base)]
    return misfit(*widths) if widths[0] != widths[1] else None


def _denoiser(folder: Path) -> Path | None:
    return next(iter(places(DENOISERS, folder).values()), None)


def misfit(own: object, of_base: object) -> str:
    """What is wrong with a U-Net that reads texts of another width, as the rest of a sentence."""
    return (
        f"has a U-Net that reads texts of width {own}, and the base model's has {of_base}; "
        "give --base the model that was trained"
    )
