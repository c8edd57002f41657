"""Which layers of a model an adapter file changes, and which it does not."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from lycoris_bench.adapter_tools.weights_on_disk import Layer, ModelFiles
from lycoris_bench.adapters.delta import changes
from lycoris_bench.adapters.formats.adapter_file import by_layer, read, recognise
from lycoris_bench.adapters.formats.families import family_of, foreign, inputs_of
from lycoris_bench.adapters.merge import AdapterMismatch

Tensors = dict[str, Tensor]
BLOCK = re.compile(
    r"(?:(?:down_blocks|up_blocks|input_blocks|output_blocks|layers|transformer_blocks|"
    r"single_transformer_blocks|joint_blocks|double_blocks|single_blocks|blocks)[_.]\d+"
    r"|mid_block|middle_block|(?:time|add|label)_emb(?:edding|ed)?|(?:[a-z]+_)+(?:in|out)(?:[_.]|$))"
)


@dataclass(frozen=True)
class Matched:
    """A layer that a file changes: its name there, its tensors, and the algorithm."""

    name: str
    tensors: Tensors
    algorithm: str


@dataclass
class Match:
    """A file beside a model."""

    layers: dict[Layer, Matched] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)  # names that are no layer of the model
    unknown: list[str] = field(default_factory=list)  # layers whose tensors no algorithm knows
    untouched: list[Layer] = field(default_factory=list)  # the model's other layers

    @property
    def complete(self) -> bool:
        """Whether something matches and nothing is left over."""
        return bool(self.layers) and not self.missing and not self.unknown

    def sentence(self) -> str:
        """What was left out."""
        said = [
            f"{len(names)} {kind}: {some(names)}"
            for names, kind in ((self.missing, "not in the model"),
                                (self.unknown, "of an unknown kind"))
            if names
        ]  # fmt: skip
        return "; ".join(said)


def match(tensors: Mapping[str, Tensor], model: ModelFiles, source: str | Path = "it") -> Match:
    """Each layer of the file looked up in the model.

    Raises `AdapterMismatch` for a file of another family, and for a layer under two names: both
    would be applied."""
    found, layers = Match(), by_layer(tensors)
    family = family_of({name: inputs_of(layer) for name, layer in layers.items()})
    if other := foreign(family, family_of(model.widths), layers):
        raise AdapterMismatch(f"{source}: {other}")
    for name, layer in layers.items():
        place = model.directory.find(name)
        known = recognise(layer)
        if place is None:
            found.missing.append(name)
        elif known is None:
            found.unknown.append(name)
        elif place in found.layers:
            raise AdapterMismatch(
                f"{source} has '{'.'.join(place)}' under two names: "
                f"'{found.layers[place].name}' and '{name}'"
            )
        else:
            found.layers[place] = Matched(name, layer, known[0])
    found.untouched = [layer for layer in model.layers if layer not in found.layers]
    return found


def matched(path: Path, model: ModelFiles, tensors: Tensors | None = None) -> Match:
    """The file's layers, at least one of them in the model; `AdapterMismatch` if none is.

    `tensors` are the file's, where they are read already."""
    found = match(read(path)[0] if tensors is None else tensors, model, path)
    if not found.layers:
        names = [".".join(layer) for layer in model.layers]
        raise AdapterMismatch(
            f"{path} matches no layer of {model.root}: {found.sentence()}; "
            f"the model has {some(names)}"
        )
    return found


def change(found: Matched, weight: Tensor, source: str | Path = "") -> tuple[Tensor, Tensor | None]:
    """(ΔW, Δb) of one layer in fp32; `AdapterMismatch` names the layer where they do not fit."""
    try:
        moved, shift = changes(found.tensors, weight)
    except ValueError as error:
        at = f"{source}: {found.name}" if source else found.name
        raise AdapterMismatch(f"{at}: {error}") from None
    if not bool(torch.isfinite(moved).all()):
        raise AdapterMismatch(f"{source} {found.name}: its change is not finite".strip())
    return moved, shift


def block_of(name: str) -> str:
    """The block that reports count a layer in, from its path or its name in a file.

    >>> block_of("unet.down_blocks.1.attentions.0.proj_in"), block_of("lora_te_x_layers_3_mlp_fc1")
    ('unet.down_blocks.1', 'text_encoder.layers.3')
    """
    part = re.match(
        r"(?:lora_|lycoris_|oft_)?(te\d?|text_encoder(?:_\d)?|transformer|unet)[_.]", name
    )
    spelled = {"te": "text_encoder", "te1": "text_encoder", "te2": "text_encoder_2",
               "te3": "text_encoder_3"}  # fmt: skip
    model = spelled.get(part[1], part[1]) if part else "layers"
    inner = BLOCK.search(name[part.end() :] if part else name)
    if inner is None:
        return f"{model}.other"
    block = re.sub(r"[_.](\d+)$", r".\1", inner[0].rstrip("_."))
    return f"{model}.{block}"


def some(names: Sequence[str], most: int = 6) -> str:
    """The first names, and how many there are besides."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} others" if more > 0 else "")
