"""The layers of an adapter file, each with its base model's weight where a model is given."""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lycoris_bench.adapter_tools.fits import fits_model
from lycoris_bench.adapter_tools.layer import NeedsModel, is_unrolled, kind, needs_model, shape_of
from lycoris_bench.adapter_tools.products import factors_of
from lycoris_bench.adapter_tools.steps import counted
from lycoris_bench.adapter_tools.weights_on_disk import Layer, ModelFiles
from lycoris_bench.adapters.algorithms.base import BIAS
from lycoris_bench.adapters.algorithms.base import Adapter as Kind
from lycoris_bench.adapters.algorithms.factors import Factors
from lycoris_bench.adapters.algorithms.full import DIFF
from lycoris_bench.adapters.algorithms.recognise import recognise
from lycoris_bench.adapters.delta import changes
from lycoris_bench.adapters.formats.adapter_file import by_layer, read, spellings
from lycoris_bench.adapters.formats.families import family_of, inputs_of
from lycoris_bench.adapters.formats.layouts import Spelling
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.adapters.matching import matched
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.printable import printable

Tensors = Mapping[str, Tensor]
NORM = re.compile(r"norm(?!.*linear)|[._]ln_|(?:in|out)_layers[._]0$|(?:unet|model)[._]out[._]0$")
LARGEST = torch.finfo(torch.float32).max
Change = tuple[Tensor, Tensor | None]


@dataclass(frozen=True)
class Source:
    """One layer of a file, its spelling there, and its place in the base model."""

    file: Path
    name: str
    tensors: Tensors
    spelling: Spelling
    in_folder: bool = False  # a PEFT folder, whose configuration is needed to read the tensors
    base: ModelFiles | None = None
    place: Layer | None = None

    @property
    def kind(self) -> type[Kind]:
        """The algorithm of these tensors."""
        return kind(self.tensors)

    @property
    def depends_on_weight(self) -> bool:
        """Whether ΔW depends on W."""
        return self.kind.depends_on_weight(self.tensors)

    @property
    def is_known(self) -> bool:
        """Whether ΔW can be computed: a model is given, or the tensors suffice."""
        return self.base is not None or not needs_model(self.tensors)

    @property
    def is_norm(self) -> bool:
        """Whether the layer's weight has one dimension, so that no LoRA can change it."""
        vector = self.kind.vectors and self.tensors.keys() != {BIAS}
        return vector and len(self.shape()) == 1

    def weight(self) -> Tensor | None:
        """W, read anew at each call; None without a model."""
        return self.base.read(*self.place) if self.base and self.place else None

    def fits(self) -> None:
        """AdapterFileError: the model's layer has other shapes. Does nothing without a model."""
        if self.base and self.place:
            try:
                fits_model(self.tensors, self.base, self.place)
            except BenchError as error:
                raise AdapterFileError(f"{self.file}: {self.name}: {error}") from None

    def shape(self) -> torch.Size:
        """W's shape. `NeedsModel` where the tensors do not show it and no model is given."""
        if self.base and self.place:
            return self.base.shape(*self.place)
        if is_unrolled(self.name, self.tensors):
            raise NeedsModel(
                f"{self.name}: the tensors do not show the kernel's size: give --model"
            )
        if DIFF in self.tensors and self.tensors[DIFF].dim() == 1 and not NORM.search(self.name):
            sizes = tuple(self.tensors[DIFF].shape)
            raise NeedsModel(f"{self.name}: its diff of shape {sizes} is that of a norm, and its "
                             "name is none of a norm: give --model")  # fmt: skip
        try:
            return shape_of(self.tensors)
        except AdapterFileError as error:
            raise AdapterFileError(f"{self.file}: {self.name}: {error}") from None

    def change(self) -> Change:
        """(ΔW, Δb) in float64. `AdapterFileError` names the layer where they do not fit."""
        weight = self.weight()
        if weight is None and self.depends_on_weight:
            raise NeedsModel(f"{self.name}: the change by {self.kind.described(self.tensors)} "
                             "depends on the base model's weights: give --model")  # fmt: skip
        try:
            moved, shift = changes(
                self.tensors,
                torch.zeros(self.shape()) if weight is None else weight,
                torch.float64,
            )
        except (NeedsModel, AdapterFileError):
            raise
        except ValueError as error:
            raise AdapterFileError(f"{self.file}: {self.name}: {error}") from None
        for value in (moved, shift):
            largest = 0.0 if value is None else float(value.abs().max())
            if not largest <= LARGEST:  # NaN is not
                raise AdapterFileError(f"{self.file}: {self.name}: the largest number of its "
                                       f"change is {largest:.3g}, and float32, which readers "
                                       f"compute in, holds up to {LARGEST:.3g}")  # fmt: skip
        return moved, shift

    def factors(self) -> Factors | None:
        """ΔW as an exact product by the structure of its tensors; None where it has none, and with
        a bias update."""
        return factors_of(self.tensors)

    def check(self) -> None:
        """AdapterFileError: a value of the change is beyond fp32. ΔW is computed only where factors
        are so large that it may be."""
        large = any(float(value.float().abs().max()) > 1e7 for value in self.tensors.values()
                    if value.numel() and value.is_floating_point())  # fmt: skip
        if large and not (self.depends_on_weight and self.base is None):
            self.change()


@dataclass(frozen=True)
class Adapter:
    """The layers of a file, those left out (name and reason), and its metadata."""

    path: Path
    layers: list[Source]
    left_out: list[str]
    metadata: dict[str, str]
    family: str  # of models, by names and shapes; "" where they tell none


def open_adapter(path: Path, base: ModelFiles | None = None) -> Adapter:
    """Opens an adapter: its layers of a known algorithm and, where a model is given, those in the
    model. Without a model a fused layer stays one, though it is several layers in diffusers.

    AdapterFileError: the file is no adapter, or does not fit the model's layers. AdapterMismatch:
    it is for another model."""
    reading = counted([path], f"reading {printable(path.name, 60)}")
    (tensors, metadata), *_ = (read(file, divide=base is not None) for file in reading)
    spelled = spellings(path)
    layers = by_layer(tensors, divide=base is not None)
    left_out = [f"{name} (of no known algorithm: {', '.join(layer)})"
                for name, layer in layers.items() if recognise(layer) is None]  # fmt: skip
    places: dict[str, Layer] = {}
    if base is not None:
        match = matched(layers, base.directory, family_of(base.widths), path, base.root)
        places = {layer.name: place for place, layer in match.layers.items()}
        left_out += [f"{name} (not in the model)" for name in match.missing
                     if recognise(layers[name]) is not None]  # fmt: skip
    sources = [
        Source(path, name, layer, spelled.get(name, Spelling(name, "kohya", sides=False)),
               path.is_dir(), base, places.get(name))
        for name, layer in layers.items()
        if recognise(layer) is not None and (base is None or name in places)
    ]  # fmt: skip
    for source in sources:
        source.fits()
    return Adapter(path, sources, left_out, metadata, _family(tensors, layers))


def _family(tensors: Tensors, layers: Mapping[str, Tensors]) -> str:
    """The model family, by diffusers' names where fused layers can be divided into such."""
    with contextlib.suppress(AdapterFileError):
        layers = by_layer(tensors)
    return family_of({name: inputs_of(layer) for name, layer in layers.items()})
