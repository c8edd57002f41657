"""Writes the adapter file of every tool, reads it back and measures its error."""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from lycoris_bench.adapter_tools.error_report import Row
from lycoris_bench.adapter_tools.layer import shape_of
from lycoris_bench.adapter_tools.products import distance, factors_of
from lycoris_bench.adapter_tools.rounding import check
from lycoris_bench.adapter_tools.source import Change
from lycoris_bench.adapter_tools.steps import counted
from lycoris_bench.adapters.algorithms.factors import Factors, length, norm
from lycoris_bench.adapters.algorithms.lora import DOWN
from lycoris_bench.adapters.delta import changes
from lycoris_bench.adapters.formats import streaming
from lycoris_bench.adapters.formats.adapter_file import by_layer, read
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.files import outputs

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class ResultLayer:
    """One layer of a result.

    `tensors` gives the layer's tensors in the file. `target` gives the change that they should
    have, in float64; it is None where the tensors are copied from the source. Both are computed
    at each use, so that a result of any size takes a few megabytes. `weight` gives W where it is
    known; `factors` gives the target as a product where it is one, for a cheaper comparison."""

    name: str  # in reports
    layer: str  # in the file
    tensors: Callable[[], Tensors]
    target: Callable[[], Change] | None
    weight: Callable[[], Tensor | None] = lambda: None
    factors: Callable[[], Factors | None] = lambda: None


# tensor's name in the file -> its layer, its name there, and its shape and dtype on "meta"
Holds = dict[str, tuple[ResultLayer, str, Tensor]]


def write(
    out: Path, layers: Sequence[ResultLayer], metadata: Mapping[str, str], force: bool
) -> list[Row]:
    """Writes a safetensors file of the layers; it replaces `out` after it was read back. Returns
    the rows of `read_back`."""
    for name, times in Counter(layer.layer for layer in layers).items():
        if times > 1:
            second = [layer.name for layer in layers if layer.layer == name][1]
            raise AdapterFileError(f"'{name}' would be written twice: {second} is its second")
    holds = _holds(counted(layers, "preparing"))
    written = counted(holds, "writing")

    @lru_cache(1)
    def tensors(layer: ResultLayer) -> Tensors:
        return layer.tensors()

    def content(full: str) -> Iterable[bytes]:
        next(written)
        layer, key, _ = holds[full]
        return streaming.pieces(tensors(layer)[key])

    with outputs.whole_file(out, force) as file:
        streaming.fill(file, _shapes(holds), content, hashed(metadata))
        file.flush()
        try:
            return read_back(Path(file.name), layers)
        except AdapterFileError as error:
            text = str(error).replace(file.name, str(out))
            raise AdapterFileError(f"a result that cannot be read is not written: {text}") from None


def shapes(layers: Iterable[ResultLayer]) -> streaming.Shapes:
    """Dtype, shape and size of each tensor of a file, for its header."""
    return _shapes(_holds(layers))


def _holds(layers: Iterable[ResultLayer]) -> Holds:
    """The tensors of a file in the order of the format's own library: widest dtype first, so that
    every value is aligned."""
    tensors = {
        f"{layer.layer}.{key}": (layer, key, value.to("meta"))
        for layer in layers
        for key, value in layer.tensors().items()
    }
    order = sorted(tensors, key=lambda full: (-tensors[full][2].itemsize, full))
    return {full: tensors[full] for full in order}


def _shapes(holds: Holds) -> streaming.Shapes:
    return {
        full: (streaming.NAMES[like.dtype], tuple(like.shape), like.itemsize * like.numel())
        for full, (_, _, like) in holds.items()
    }


def hashed(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata with a placeholder for the hash of the tensors; empty metadata stay empty."""
    return {**metadata, streaming.HASH: streaming.PENDING} if metadata else {}


def read_back(
    path: Path, layers: Sequence[ResultLayer], place: Callable[[str], Hashable] | None = None
) -> list[Row]:
    """Reads a file or folder and returns the error of each layer. `place` maps a layer's name to a
    key that is equal for its spellings. RuntimeError: the layers read are not those written."""
    place = place or (lambda name: name.replace(".", "_"))
    again, _ = read(path, divide=False)  # under the names that were written
    read_layers = {place(name): part for name, part in by_layer(again, divide=False).items()}
    if read_layers.keys() != {place(layer.layer) for layer in layers}:
        raise RuntimeError(f"the layers written are not those that are read back from {path}")
    compared = counted(layers, "reading back")
    return [_row(layer, read_layers[place(layer.layer)]) for layer in compared]


@torch.no_grad()
def _row(layer: ResultLayer, tensors: Tensors) -> Row:
    rank = len(tensors[DOWN]) if DOWN in tensors else None
    if layer.target is None:
        copied = layer.tensors()
        if copied.keys() != tensors.keys() or not all(_same(copied[k], tensors[k]) for k in copied):
            raise RuntimeError(f"{layer.name} is read back with other numbers than were written")
        return Row(layer.name, 0.0, 0.0, rank)
    written = factors_of(tensors)
    product = layer.factors() if written else None
    if product and written and (whole := length(product)) < torch.finfo(torch.float32).max:
        return Row(layer.name, distance(product, written), whole, rank)
    moved, shift = layer.target()
    weight = layer.weight()
    zero = torch.zeros(shape_of(tensors)) if weight is None else weight
    read_change, read_shift = changes(tensors, zero, torch.float64)
    check(f"the change of {layer.name}", read_change, torch.float32)  # which readers compute in
    row = Row(layer.name, *_missed(moved, read_change.reshape(moved.shape)), rank)
    if shift is None:
        return row
    read_shift = torch.zeros_like(shift) if read_shift is None else read_shift
    bias = Row(layer.name, *_missed(shift, read_shift), rank)
    if moved.dim() == 1:  # a norm's two rows of numbers are alike
        missed, size = math.hypot(row.missed, bias.missed), math.hypot(row.norm, bias.norm)
        return replace(row, missed=missed, norm=size)
    worst = max(row.error, bias.error)  # the weight's length stands for the layer
    return replace(row, missed=worst * row.norm) if row.norm else bias


def _missed(target: Tensor, written: Tensor) -> tuple[float, float]:
    return norm(target - written), norm(target)


def _same(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and torch.equal(
        *((first, second) if first.dtype == second.dtype else (first.double(), second.double()))
    )
