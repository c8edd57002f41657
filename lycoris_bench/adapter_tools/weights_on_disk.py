"""A base model's weights on disk, read layer by layer without loading the model."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from lycoris_bench.adapters.formats.layer_names import Directory
from lycoris_bench.adapters.formats.streaming import Reader
from lycoris_bench.files import disk
from lycoris_bench.files.disk import kind_of
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.compvis_names import Spot, is_checkpoint, spots
from lycoris_bench.models.hub import locate

MODELS = ("unet", "transformer", "text_encoder", "text_encoder_2", "text_encoder_3")
NO_LAYER = ("token_embedding", "position_embedding", "shared", "embed_tokens")
Layer = tuple[str, str]  # (model, path): ("unet", "conv_in")


class ModelError(BenchError):
    """The base model has no weights that can be read."""


@dataclass
class ModelFiles:
    """The weights of a diffusers folder or of a CompVis single file.

    `holds` maps each file and key to the weights or biases of layers that the tensor contains;
    `readers` are of the same files."""

    root: Path
    holds: dict[Path, dict[str, list[Spot]]]
    readers: dict[Path, Reader]
    places: dict[tuple[str, str, str], tuple[Path, str, int | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for file, keys in self.holds.items():
            for key, spots_of_key in keys.items():
                for model, path, kind, third in spots_of_key:
                    # of a full and an fp16 copy, the first in the folder's order, the full one
                    self.places.setdefault((model, path, kind), (file, key, third))

    @property
    def is_folder(self) -> bool:
        return self.root.is_dir()

    @cached_property
    def layers(self) -> list[Layer]:
        """Every layer with a weight, except token embeddings."""
        return [
            (model, path)
            for model, path, kind in self.places
            if kind == "weight" and path.rpartition(".")[2] not in NO_LAYER
        ]

    @cached_property
    def widths(self) -> dict[str, int | None]:
        """The number of inputs of each layer, which identifies the model family."""
        shapes = {layer: self.shape(*layer) for layer in self.layers}
        return {".".join(layer): s[1] if len(s) > 1 else None for layer, s in shapes.items()}

    @cached_property
    def directory(self) -> Directory:
        """The names that files may give the layers."""
        paths: dict[str, list[str]] = defaultdict(list)
        for model, path in self.layers:
            paths[model].append(path)
        return Directory(paths)

    def has(self, model: str, path: str, kind: str = "weight") -> bool:
        """Whether the layer has a weight or bias of its own."""
        return (model, path, kind) in self.places

    def is_packed(self, model: str, path: str) -> bool:
        """Whether the weight is stored as integers, as in quantized models."""
        file, key, _ = self.places[model, path, "weight"]
        return "F" not in self.readers[file].entries[key].dtype

    def read(self, model: str, path: str, kind: str = "weight") -> Tensor:
        """One weight or bias, read from the disk at each call."""
        file, key, third = self.places[model, path, kind]
        value = self.readers[file].tensor(key)
        return value if third is None else part(value, third)

    def shape(self, model: str, path: str, kind: str = "weight") -> torch.Size:
        """Its shape, from the file's header."""
        file, key, third = self.places[model, path, kind]
        sizes = self.readers[file].entries[key].shape
        return torch.Size(sizes if third is None else (sizes[0] // 3, *sizes[1:]))


def part(value: Tensor, third: int) -> Tensor:
    """The rows of one of q, k, v in a tensor that stacks them."""
    return value.chunk(3)[third]


def open_model(place: str | Path) -> ModelFiles:
    """The weights of a folder, of a hub id in the local cache or of a single file.

    ModelError, BackboneError or AdapterFileError: they cannot be read."""
    root = disk.expand(place)
    if (kind := kind_of(root)) not in (None, "a folder"):
        raise ModelError(f"{root} is {kind}; a pipeline folder or a single file is needed")
    if not root.exists():
        root = locate(place)
    if root.is_file():
        reader = Reader(root)
        keys = list(reader.entries)
        if not is_checkpoint(keys):
            raise ModelError(
                f"{root} is no single file of a base model: it has no 'model.diffusion_model.' "
                f"keys, and its first tensor is '{keys[0] if keys else 'none'}'"
            )
        return ModelFiles(root, {root: spots(keys)}, {root: reader})
    models = {file: model for model in MODELS for file in weights(root / model)}
    if not models:
        raise ModelError(
            f"{root} has no safetensors weights in {' or '.join(MODELS[:3])}; "
            "save the pipeline with safe_serialization=True"
        )
    readers = {file: Reader(file) for file in models}
    holds = {file: dict(_spots(model, readers[file])) for file, model in models.items()}
    return ModelFiles(root, holds, readers)


def weights(folder: Path) -> Sequence[Path]:
    """The safetensors files in a part's folder, full precision before variants such as fp16."""
    files = folder.glob("*.safetensors") if folder.is_dir() else []
    return sorted(files, key=lambda file: (file.name.count("."), file.name))


def _spots(model: str, reader: Reader) -> Iterator[tuple[str, list[Spot]]]:
    for key in reader.entries:
        path, _, kind = key.rpartition(".")
        if kind in ("weight", "bias"):
            yield key, [Spot(model, path, kind)]
