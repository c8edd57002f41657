"""Base models as shapes without weights, to count the parameters that an adapter trains."""

from lycoris_bench.files import disk
from lycoris_bench.models.families import families, of_folder
from lycoris_bench.models.hub import family_of, locate
from lycoris_bench.models.parts import BackboneError, Outline


def outline(name: str) -> Outline | None:
    """The outline of a base model: from the configurations of a pipeline's folder or a cached hub
    id, or, for a model that is not on this machine, from its name if that tells the structure.
    None for a model that must be loaded to be known, such as a single file."""
    try:
        place = locate(name)
    except BackboneError:
        outlines = (family.outline_of(name) for family in families())
        return next((shapes for shapes in outlines if shapes is not None), None)
    if place.is_file():
        return None
    try:
        return of_folder(place).outline(place)
    except Exception as error:  # whatever is wrong in a file, its reader raises its own kind
        reason = " ".join(str(error).split())[:300]
        raise BackboneError(f"base model '{name}' cannot be read: {reason}") from error


def native_side(name: str) -> int:
    """The side, in pixels, of the images that a base model was made to draw: as its own files say,
    else its family's. BackboneError: it is missing or no base model."""
    place = locate(name)
    family = family_of(place)
    if place.is_file():
        return family.side
    shapes = family.outline(place)
    latent = getattr(shapes.unet.config, "sample_size", None)
    vae = disk.read_json(place / "vae" / "config.json")
    scale = 2 ** (len(vae.get("block_out_channels", "....")) - 1)
    return latent * scale if isinstance(latent, int) and latent else family.side
