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
    found = [Decomposed(one, _svd(one, rank)) for one in counted(adapter.layers, "decomposing")]
    about = carried([adapter.metadata], adapter.family, same_form=False)
    if megabytes is None:
        ranks = [0 if one.svd is None else choose(one.svd.s, rank, energy) for one in found]
        made = _layers(found, ranks, base)
        about = _about(about, ranks)
    else:
        made, about = _fit(found, base, about, int(megabytes * 2**20))
    rows = result.write(out, made, about, force)
    there = {row.layer for row in rows}
    gone = {x.source.name: tail(x.svd.s, 0) for x in found if x.svd and x.source.name not in there}
    rows += [Row(name, whole, whole, 0) for name, whole in gone.items()]
    size = out.stat().st_size
    data, text = report(rows, layers, adapter.left_out)
    stays = _kept(adapter)
    if stays:
        text += f"\n{len(stays)} tensors of norms and biases kept as they are"
    text += f"\n{len(there)} layers, {size:,} bytes. Result: {out}"
    said = [f"left out: {some(adapter.left_out)}"] if adapter.left_out else []
    return {"result": str(out), "bytes": size, **data, "kept": stays, "warnings": said,
            "left_out": adapter.left_out, "status": int(bool(said)), "text": text}  # fmt: skip


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
        found = svd_of_product(*product) if product else svd(source.change()[0])
        most = min(rank or len(found.s), max(1, numerical_rank(found.s)))
        return Svd(found.u[:, :most].clone(), found.s, found.vh[:most].clone())
    except (NeedsModel, AdapterFileError):
        raise
    except ValueError as error:
        raise AdapterFileError(f"{source.file}: {source.name}: {error}") from None


def _kept(adapter: Adapter) -> list[str]:
    return sorted(f"{source.name}.{key}" for source in adapter.layers for key in source.tensors
                  if key == BIAS or source.is_norm)  # fmt: skip


def _layers(
    found: Sequence[Decomposed], ranks: Sequence[int], base: ModelFiles | None,
    what: str = "rounding",
) -> list[ResultLayer]:  # fmt: skip
    """The layers of the result; layers of rank 0 are left out."""
    pairs = [(one, rank) for one, rank in zip(found, ranks, strict=True) if rank or not one.svd]
    made = [(one.source, _tensors(one, rank)) for one, rank in pairs]
    names = named(made, base)
    layers = []
    named_pairs = list(zip(pairs, names, strict=True))
    for (one, rank), (layer, tensors) in counted(named_pairs, what):
        source = one.source
        if one.svd is None:
            same = kept(source.name, tensors)
            layers.append(ResultLayer(source.name, layer, partial(dict, same), source.change))
            continue
        whole = tail(one.svd.s, 0)
        lost = tail(one.svd.s, rank) / whole if whole else 0.0
        held = stored(source.name, tensors, source.tensors.values(), lost)
        layers.append(ResultLayer(source.name, layer, partial(dict, held), source.change,
                           source.weight, source.factors))  # fmt: skip
    return layers


def _tensors(one: Decomposed, rank: int) -> Mapping[str, Tensor]:
    layer = one.source.tensors
    if one.svd is None:
        return layer
    bias = {BIAS: layer[BIAS]} if BIAS in layer else {}
    return lora(one.svd, one.source.shape(), rank) | bias


def _about(about: Mapping[str, str], ranks: Sequence[int]) -> dict[str, str]:
    dims = {"ss_network_dim": str(max(ranks, default=0)), "ss_network_alpha": "Dynamic"}
    return {**about, **dims} if about else {}


def _fit(
    found: Sequence[Decomposed], base: ModelFiles | None, about: Mapping[str, str], most: int
) -> tuple[list[ResultLayer], dict[str, str]]:
    """The largest file of at most `most` bytes. The size of header and names is found by trying."""
    matrices = [one for one in found if one.svd is not None]
    values = [one.svd.s for one in matrices if one.svd]
    costs = [HALF * (len(one.svd.u) + one.svd.vh.shape[1]) for one in matrices if one.svd]
    budget = most
    attempts = count(1)
    while budget > 0:
        by_layer = dict(zip(map(id, matrices), within(values, costs, budget), strict=True))
        if not any(by_layer.values()):
            break
        ranks = [by_layer.get(id(one), 0) for one in found]
        made = _layers(found, ranks, base, f"rounding, try {next(attempts)}")
        said = _about(about, ranks)
        size, numbers = _size(made, said)
        if size <= most:
            return made, said
        budget -= max((size - most) * budget // numbers, 1)
    least, _ = _size(_layers(found, [0] * len(found), base, "rounding norms"), _about(about, []))
    raise BenchError(
        f"--size is too small: a file of these layers takes more than {most:,} bytes "
        f"({least:,} without any); give more MiB"
    )


def _size(made: Sequence[ResultLayer], about: Mapping[str, str]) -> tuple[int, int]:
    """(bytes of the file, bytes of its tensors)."""
    shapes = result.shapes(made)
    numbers = sum(size for *_, size in shapes.values())
    return 8 + len(streaming.header(shapes, result.hashed(about))) + numbers, max(numbers, 1)
