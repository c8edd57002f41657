"""The model family of an adapter or a model, from layer names, shapes and metadata."""

from collections.abc import Iterable, Mapping

from torch import Tensor

from lycoris_bench.adapters.algorithms.recognise import recognise
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models import families


def family_of(layers: Mapping[str, int | None]) -> str:
    """The name of the family of layers (name -> number of inputs, None where it is not known);
    "" where it cannot be told."""
    family = families.of_layers(layers)
    return family.name if family else ""


def in_metadata(metadata: Mapping[str, str]) -> str:
    """The name of the family that a file's metadata say; "" for none, or one not known here."""
    text = _text(metadata)
    named = (f.name for f in families.families() if f.in_metadata(text, metadata))
    return next(named, "")


def stated(metadata: Mapping[str, str]) -> str:
    """The family that a file's metadata say, in their own words where it is not known here."""
    return in_metadata(metadata) or _text(metadata).removesuffix("/lora")


def _text(metadata: Mapping[str, str]) -> str:
    """The base model's name in the metadata."""
    for key in ("ss_base_model_version", "modelspec.architecture"):
        text = metadata.get(key, "").strip()
        if text and text.lower() not in ("none", "unknown"):
            return text
    return ""


def version_of(family: str) -> str:
    """The `ss_base_model_version` of the family of that name; for an unknown family that of
    Stable Diffusion 1, which readers take it for."""
    return (families.named(family) or families.plain()).base_model_version


def inputs_of(tensors: Mapping[str, Tensor]) -> int | None:
    """The number of a layer's inputs, from its adapter; None where the tensors do not show it."""
    recognised = recognise(tensors)
    try:
        return (recognised[1].sizes(tensors)[1] or None) if recognised else None
    except BenchError:  # damaged: said elsewhere
        return None


def foreign(adapter: str, model: str, names: Iterable[str]) -> str | None:
    """Why an adapter of one family does not belong to a model of another, with the layer that
    tells; None where they agree or are not known."""
    if not adapter or not model or adapter == model:
        return None
    names = list(names)
    marks = {mark for family in families.families() for mark in family.marks}
    telling = [name for name in names if any(mark.match(name) for mark in marks)]
    return f"the adapter is for {adapter} and the model is {model}: it has {(telling or names)[0]}"
