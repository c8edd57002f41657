"""Base models as shapes without weights, to count the parameters that an adapter trains."""

from lycoris_bench.models.families import families, of_folder
from lycoris_bench.models.hub import locate
from lycoris_bench.models.parts import BackboneError, Outline


def outline(name: str) -> Outline | None:
    """Of a pipeline's folder or a hub id that is here, by its configurations; of a model that is
    not here, if its name alone tells its structure. None for what must be loaded to be known."""
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
