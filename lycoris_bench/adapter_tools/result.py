"""Writes an adapter file, reads it back and measures its error. All tools write by it."""

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


Holds = dict[
    str, tuple[ResultLayer, str, Tensor]
]  # name -> layer, its tensor, and one without numbers


def write(
    out: Path, layers: Sequence[ResultLayer], metadata: Mapping[str, str], force: bool
) -> list[Row]:
    """Writes a safetensors file of the layers, which takes its place once it has been read back.
    Returns the rows of `read_back`."""
    for name, times in Counter(one.layer for one in layers).items():
        if times > 1:
            second = [one.name for one in layers if one.layer == name][1]
            raise AdapterFileError(f"'{name}' would be written twice: {second} is its second")
    holds = _holds(counted(layers, "preparing"))
    written = counted(holds, "writing")

    @lru_cache(1)
    def tensors(one: ResultLayer) -> Tensors:
        return one.tensors()

    def content(full: str) -> Iterable[bytes]:
        next(written)
        one, key, _ = holds[full]
        return streaming.pieces(tensors(one)[key])

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
    """Each tensor of a file, on the meta device, ordered as the format's own library does: widest
    dtype first, so that every value is aligned."""
    found = {
        f"{one.layer}.{key}": (one, key, value.to("meta"))
        for one in layers
        for key, value in one.tensors().items()
    }
    order = sorted(found, key=lambda full: (-found[full][2].itemsize, full))
    return {full: found[full] for full in order}


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
    found = {place(name): own for name, own in by_layer(again, divide=False).items()}
    if found.keys() != {place(one.layer) for one in layers}:
        raise RuntimeError(f"the layers written are not those that are read back from {path}")
    return [_row(one, found[place(one.layer)]) for one in counted(layers, "reading back")]


@torch.no_grad()
def _row(one: ResultLayer, found: Tensors) -> Row:
    rank = len(found[DOWN]) if DOWN in found else None
    if one.target is None:
        given = one.tensors()
        if given.keys() != found.keys() or not all(_same(given[k], found[k]) for k in given):
            raise RuntimeError(f"{one.name} is read back with other numbers than were written")
        return Row(one.name, 0.0, 0.0, rank)
    written = factors_of(found)
    product = one.factors() if written else None
    if product and written and (whole := length(product)) < torch.finfo(torch.float32).max:
        return Row(one.name, distance(product, written), whole, rank)
    moved, shift = one.target()
    weight = one.weight()
    zero = torch.zeros(shape_of(found)) if weight is None else weight
    again, other = changes(found, zero, torch.float64)
    check(f"the change of {one.name}", again, torch.float32)  # which readers compute in
    row = Row(one.name, *_missed(moved, again.reshape(moved.shape)), rank)
    if shift is None:
        return row
    bias = Row(one.name, *_missed(shift, torch.zeros_like(shift) if other is None else other), rank)
    if moved.dim() == 1:  # a norm's two rows of numbers are alike
        missed, size = math.hypot(row.missed, bias.missed), math.hypot(row.norm, bias.norm)
        return replace(row, missed=missed, norm=size)
    worst = max(row.error, bias.error)  # the weight's length stands for the layer
    return replace(row, missed=worst * row.norm) if row.norm else bias


def _missed(target: Tensor, written: Tensor) -> tuple[float, float]:
    return norm(target - written), norm(target)


def _same(one: Tensor, two: Tensor) -> bool:
    return one.shape == two.shape and torch.equal(
        *((one, two) if one.dtype == two.dtype else (one.double(), two.double()))
    )
