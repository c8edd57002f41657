"""Matches the layers of an adapter file with those of a model: one rule for models in memory and
on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.base import Adapter
from lycoris_bench.adapters.algorithms.recognise import recognise
from lycoris_bench.adapters.delta import changes
from lycoris_bench.adapters.formats.families import family_of, foreign, inputs_of
from lycoris_bench.adapters.formats.layer_names import Directory
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.messages.errors import BenchError

Tensors = dict[str, Tensor]
Layer = tuple[str, str]  # the model's kind and the path in it


class AdapterMismatch(BenchError):
    """The adapter does not fit this model."""


@dataclass(frozen=True)
class Matched:
    """A layer that a file changes: its name there, its tensors, and the algorithm's name and
    class."""

    name: str
    tensors: Tensors
    algorithm: str
    kind: type[Adapter]


@dataclass
class Match:
    """The layers of a file matched with those of a model."""

    layers: dict[Layer, Matched] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)  # names that are no layer of the model
    unknown: list[str] = field(default_factory=list)  # layers whose tensors no algorithm knows
    untouched: list[Layer] = field(default_factory=list)  # the model's other layers

    @property
    def complete(self) -> bool:
        """Whether every layer of the file matches, and there is at least one."""
        return bool(self.layers) and not self.missing and not self.unknown

    def sentence(self) -> str:
        """The names that were left out, as a phrase."""
        phrases = [
            f"{len(names)} {kind}: {some(names)}"
            for names, kind in ((self.missing, "not in the model"),
                                (self.unknown, "of an unknown kind"))
            if names
        ]  # fmt: skip
        return "; ".join(phrases)


def match(
    layers: Mapping[str, Tensors], directory: Directory, family: str, source: str | Path
) -> Match:
    """Matches each layer of a file with a layer of a model; `family` is the model's, "" if it is
    not known.

    AdapterMismatch: the file is of another family, a name fits two layers, or a layer has two
    names, of which both would be applied."""
    result = Match()
    file_family = family_of({name: inputs_of(tensors) for name, tensors in layers.items()})
    if other := foreign(file_family, family, layers):
        raise AdapterMismatch(f"{source}: {other}")
    for name, tensors in layers.items():
        try:
            place = directory.find(name)
        except AdapterFileError as error:
            raise AdapterMismatch(f"{source} fits the model in two ways: {error}") from None
        algorithm = recognise(tensors)
        if place is None:
            result.missing.append(name)
        elif algorithm is None:
            result.unknown.append(name)
        elif place in result.layers:
            raise AdapterMismatch(f"{source} has '{'.'.join(place)}' under two names: "
                                  f"'{result.layers[place].name}' and '{name}'")  # fmt: skip
        else:
            result.layers[place] = Matched(name, tensors, *algorithm)
    result.untouched = [place for place in directory if place not in result.layers]
    return result


def matched(
    layers: Mapping[str, Tensors], directory: Directory, family: str, source: str | Path,
    model: str | Path,
) -> Match:  # fmt: skip
    """As `match`. AdapterMismatch, too, where the model has no layer of the file."""
    result = match(layers, directory, family, source)
    if not result.layers:
        names = [".".join(place) for place in directory]
        raise AdapterMismatch(f"{source} matches no layer of {model}: {result.sentence()}; "
                              f"the model has {some(names)}")  # fmt: skip
    return result


def change(layer: Matched, weight: Tensor, source: str | Path = "") -> tuple[Tensor, Tensor | None]:
    """(ΔW, Δb) of one layer in fp32. AdapterMismatch: names the layer whose tensors do not fit W
    or whose change is not finite."""
    try:
        moved, shift = changes(layer.tensors, weight)
    except ValueError as error:
        at = f"{source}: {layer.name}" if source else layer.name
        raise AdapterMismatch(f"{at}: {error}") from None
    if not bool(torch.isfinite(moved).all()):
        raise AdapterMismatch(f"{source} {layer.name}: its change is not finite".strip())
    return moved, shift


def some(names: Sequence[str], most: int = 6) -> str:
    """The first `most` names, and the number of the others, for a message."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} others" if more > 0 else "")
