"""Writes any adapter as full differences: W' - W as `diff`, which every reader of such files
takes."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from torch import Tensor

from lycoris_bench.adapter_tools import result
from lycoris_bench.adapter_tools.error_report import Row
from lycoris_bench.adapter_tools.naming import kohya, named
from lycoris_bench.adapter_tools.result import ResultLayer
from lycoris_bench.adapter_tools.rounding import stored
from lycoris_bench.adapter_tools.source import Adapter, Source
from lycoris_bench.adapter_tools.weights_on_disk import ModelFiles
from lycoris_bench.adapters.algorithms.full import Full
from lycoris_bench.adapters.algorithms.norm import NormShift


def to_full_difference(
    adapter: Adapter, out: Path, base: ModelFiles | None, about: Mapping[str, str], force: bool
) -> list[Row]:
    """Writes the file, one layer in memory at a time. Returns the error of each layer.

    Without a model names stay as they are. NeedsModel: a change depends on W and there is no
    model."""
    for source in adapter.layers:
        source.shape()
    if base is None:
        names = [layer for layer, _ in named([(x, _shown(x)) for x in adapter.layers], None)]
    else:
        names = [kohya(source) for source in adapter.layers]
    layers = [
        ResultLayer(layer.replace(".", "_"), layer, partial(_differences, x), x.change, x.weight)
        for x, layer in zip(adapter.layers, names, strict=True)
    ]
    return result.write(out, layers, about, force)


def _differences(source: Source) -> dict[str, Tensor]:
    moved, shift = source.change()
    weight, bias = _names(source)
    tensors = {} if set(source.tensors) == {bias} else {weight: moved}
    if shift is not None:
        tensors[bias] = shift
    return stored(source.name, tensors, source.tensors.values())


def _names(source: Source) -> tuple[str, ...]:
    return NormShift.marks if source.kind is NormShift else Full.marks


def _shown(source: Source) -> dict[str, Tensor]:
    """Stand-in tensors under the names that the result will have, for `named`."""
    return dict.fromkeys(_names(source)[:1], next(iter(source.tensors.values())))
