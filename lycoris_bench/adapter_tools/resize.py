"""`adapter resize`: writes any adapter as a LoRA of a given rank, energy share or file size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from torch import Tensor

from lycoris_bench.adapter_tools import result
from lycoris_bench.adapter_tools.error_report import Row, report
from lycoris_bench.adapter_tools.layer import NeedsModel
from lycoris_bench.adapter_tools.naming import named
from lycoris_bench.adapter_tools.products import factors_of
from lycoris_bench.adapter_tools.result import ResultLayer
from lycoris_bench.adapter_tools.rounding import kept, stored
from lycoris_bench.adapter_tools.source import Adapter, Source, open_adapter
from lycoris_bench.adapter_tools.steps import counted
from lycoris_bench.adapter_tools.svd import (
    HALF,
    Svd,
    check_rank,
    choose,
    lora,
    numerical_rank,
    svd,
    svd_of_product,
    tail,
    within,
)
from lycoris_bench.adapter_tools.weights_on_disk import ModelFiles, open_model
from lycoris_bench.adapters.algorithms.base import BIAS
from lycoris_bench.adapters.formats import streaming
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.adapters.formats.ss_metadata import carried
from lycoris_bench.adapters.matching import some
from lycoris_bench.files import outputs
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import plural


@dataclass(frozen=True)
class Decomposed:
    """A layer and the SVD of its change; None for norms and biases, which are kept."""

    source: Source
    svd: Svd | None


def resize(
    path: Path, out: Path, rank: int | None = None, energy: float | None = None,
    megabytes: float | None = None, model: str | None = None, force: bool = False,
    layers: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Writes the file's change as a LoRA: of `rank`, of the least rank with this `energy` share, or
    of at most `megabytes` (2^20 bytes), with one threshold on singular values for all layers.

    Norms and biases are kept as they are. The error is measured on the file as it is read back."""
    _check(rank, energy, megabytes)
    outputs.check(out, [path], force)
    base = None if model is None else open_model(model)
    adapter = open_adapter(path, base)
    sources = counted(adapter.layers, "decomposing")
    decomposed = [Decomposed(source, _svd(source, rank)) for source in sources]
    about = carried([adapter.metadata], adapter.family, same_form=False)
    if megabytes is None:
        values = [layer.svd and layer.svd.s for layer in decomposed]
        ranks = [0 if s is None else choose(s, rank, energy) for s in values]
        result_layers = _layers(decomposed, ranks, base)
        about = _about(about, ranks)
    else:
        result_layers, about = _fit(decomposed, base, about, int(megabytes * 2**20))
    rows = result.write(out, result_layers, about, force)
    written = {row.layer for row in rows}
    gone = {layer.source.name: tail(layer.svd.s, 0) for layer in decomposed
            if layer.svd and layer.source.name not in written}  # fmt: skip
    rows += [Row(name, whole, whole, 0) for name, whole in gone.items()]
    size = out.stat().st_size
    data, text = report(rows, layers, adapter.left_out)
    stays = _kept(adapter)
    if stays:
        text += f"\n{plural(len(stays), 'tensor')} of norms and biases kept as before"
    text += f"\n{plural(len(written), 'layer')}, {size:,} bytes. Result: {out}"
    warnings = [f"left out: {some(adapter.left_out)}"] if adapter.left_out else []
    return {"result": str(out), "bytes": size, **data, "kept": stays, "warnings": warnings,
            "left_out": adapter.left_out, "status": int(bool(warnings)), "text": text}  # fmt: skip


def _check(rank: int | None, energy: float | None, megabytes: float | None) -> None:
    if sum(value is not None for value in (rank, energy, megabytes)) != 1:
        raise BenchError("give one of --rank, --energy and --size")
    check_rank(rank, energy)
    if megabytes is not None and not 0 < megabytes < 1e6:
        raise BenchError(f"--size is {megabytes:g}; a number of MiB above 0 is allowed")


def _svd(source: Source, rank: int | None) -> Svd | None:
    """All singular values of a layer's change, and the vectors that a result may use; None for
    norms and biases."""
    layer = source.tensors
    try:
        source.shape()
        if source.is_norm or set(layer) == {BIAS}:
            return None
        product = factors_of({key: value for key, value in layer.items() if key != BIAS})
        decomposed = svd_of_product(*product) if product else svd(source.change()[0])
        most = min(rank or len(decomposed.s), max(1, numerical_rank(decomposed.s)))
        return Svd(decomposed.u[:, :most].clone(), decomposed.s, decomposed.vh[:most].clone())
    except (NeedsModel, AdapterFileError):
        raise
    except ValueError as error:
        raise AdapterFileError(f"{source.file}: {source.name}: {error}") from None


def _kept(adapter: Adapter) -> list[str]:
    return sorted(f"{source.name}.{key}" for source in adapter.layers for key in source.tensors
                  if key == BIAS or source.is_norm)  # fmt: skip


def _layers(
    decomposed: Sequence[Decomposed], ranks: Sequence[int], base: ModelFiles | None,
    step: str = "rounding",
) -> list[ResultLayer]:  # fmt: skip
    """The layers of the result; layers of rank 0 are left out."""
    pairs = zip(decomposed, ranks, strict=True)
    chosen = [(layer, rank) for layer, rank in pairs if rank or not layer.svd]
    names = named([(layer.source, _tensors(layer, rank)) for layer, rank in chosen], base)
    layers = []
    named_layers = list(zip(chosen, names, strict=True))
    for (layer, rank), (name, tensors) in counted(named_layers, step):
        source = layer.source
        if layer.svd is None:
            same = kept(source.name, tensors)
            layers.append(ResultLayer(source.name, name, partial(dict, same), source.change))
            continue
        whole = tail(layer.svd.s, 0)
        lost = tail(layer.svd.s, rank) / whole if whole else 0.0
        held = stored(source.name, tensors, source.tensors.values(), lost)
        layers.append(ResultLayer(source.name, name, partial(dict, held), source.change,
                           source.weight, source.factors))  # fmt: skip
    return layers


def _tensors(decomposed: Decomposed, rank: int) -> Mapping[str, Tensor]:
    layer = decomposed.source.tensors
    if decomposed.svd is None:
        return layer
    bias = {BIAS: layer[BIAS]} if BIAS in layer else {}
    return lora(decomposed.svd, decomposed.source.shape(), rank) | bias


def _about(about: Mapping[str, str], ranks: Sequence[int]) -> dict[str, str]:
    dims = {"ss_network_dim": str(max(ranks, default=0)), "ss_network_alpha": "Dynamic"}
    return {**about, **dims} if about else {}


def _fit(
    decomposed: Sequence[Decomposed], base: ModelFiles | None, about: Mapping[str, str], most: int
) -> tuple[list[ResultLayer], dict[str, str]]:
    """(layers, metadata) of the largest file of at most `most` bytes. The size of the header is
    found by trying. BenchError: no file is that small."""
    matrices = [layer for layer in decomposed if layer.svd is not None]
    values = [layer.svd.s for layer in matrices if layer.svd]
    costs = [HALF * (len(layer.svd.u) + layer.svd.vh.shape[1]) for layer in matrices if layer.svd]
    budget = most
    attempts = count(1)
    while budget > 0:
        by_layer = dict(zip(map(id, matrices), within(values, costs, budget), strict=True))
        if not any(by_layer.values()):
            break
        ranks = [by_layer.get(id(layer), 0) for layer in decomposed]
        result_layers = _layers(decomposed, ranks, base, f"rounding, try {next(attempts)}")
        metadata = _about(about, ranks)
        size, numbers = _size(result_layers, metadata)
        if size <= most:
            return result_layers, metadata
        budget -= max((size - most) * budget // numbers, 1)
    least, _ = _size(
        _layers(decomposed, [0] * len(decomposed), base, "rounding norms"), _about(about, [])
    )
    raise BenchError(
        f"--size is too small: a file of these layers takes more than {most:,} bytes "
        f"({least:,} without any); give more MiB"
    )


def _size(result_layers: Sequence[ResultLayer], about: Mapping[str, str]) -> tuple[int, int]:
    """(bytes of the file, bytes of its tensors)."""
    shapes = result.shapes(result_layers)
    numbers = sum(size for *_, size in shapes.values())
    return 8 + len(streaming.header(shapes, result.hashed(about))) + numbers, max(numbers, 1)
