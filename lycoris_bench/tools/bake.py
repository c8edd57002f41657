"""Any adapter as plain differences: W' - W as `diff`, which every reader of full files takes."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from lycoris_bench.adapters.base import BIAS
from lycoris_bench.adapters.errors import AdapterFileError
from lycoris_bench.adapters.files import by_layer, read
from lycoris_bench.tools import stream
from lycoris_bench.tools.errors import Row, compare
from lycoris_bench.tools.layer import (
    NeedsModel,
    algorithm,
    change_alone,
    is_unrolled,
    needs_weight,
    shape_of,
)
from lycoris_bench.tools.matching import Matched, change, matched
from lycoris_bench.tools.model_files import Layer, ModelFiles

Source = tuple[Matched, Layer | None]  # a layer of the file, and its place in the model


def bake(
    path: Path, out: Path, base: ModelFiles | None, force: bool
) -> tuple[list[Row], list[str]]:
    """Writes the file, one layer in memory at a time; (errors of half precision, layers left
    out). Without a model, names stay and changes that depend on W raise `NeedsModel`."""
    sources, left_out = _sources(path, base)
    shapes: dict[str, tuple[str, tuple[int, ...], int]] = {}
    for name, (one, place) in sources.items():
        for key, shape in _shapes(one, place, base).items():
            shapes[f"{name}.{key}"] = ("F16", tuple(shape), 2 * shape.numel())
    rows: list[Row] = []
    made: dict[str, Tensor] = {}

    def content(full: str) -> Iterable[bytes]:
        name = full.partition(".")[0]
        if full not in made:
            made.clear()
            one, place = sources[name]
            found = _differences(one, place, base, path)
            rows.append(_row(name, found))
            made.update({f"{name}.{key}": value for key, value in found.items()})
        half = made.pop(full).half()
        if not bool(torch.isfinite(half).all()):
            raise AdapterFileError(
                f"'{full}' holds a number that a half-precision file cannot hold"
            )
        return stream.pieces(half)

    stream.write(out, dict(sorted(shapes.items())), content, {stream.HASH: stream.PENDING}, force)
    return rows, left_out


def _sources(path: Path, base: ModelFiles | None) -> tuple[dict[str, Source], list[str]]:
    if base is not None:
        found = matched(path, base)
        spelled = {
            base.directory.spell(*place): (one, place) for place, one in found.layers.items()
        }
        return dict(spelled), found.missing + found.unknown
    sources: dict[str, Source] = {}
    for name, tensors in by_layer(read(path)[0]).items():
        if algorithm(tensors) == "unknown":
            raise AdapterFileError(f"{path}: {name} is of no known algorithm: {', '.join(tensors)}")
        if needs_weight(tensors) or is_unrolled(name, tensors):
            raise NeedsModel(f"{name}: its change or its kernel's size is not in the file: "
                             "give --model")  # fmt: skip
        sources[name] = Matched(name, tensors, algorithm(tensors)), None
    return sources, []


def _names(one: Matched) -> tuple[str, str]:
    return ("w_norm", "b_norm") if one.algorithm == "norm" else ("diff", BIAS)


def _shapes(one: Matched, place: Layer | None, base: ModelFiles | None) -> Mapping[str, torch.Size]:
    weight, bias = _names(one)
    whole = base.shape(*place) if base is not None and place else shape_of(one.tensors)
    shift = one.tensors.get(bias)
    shapes = {} if set(one.tensors) == {bias} else {weight: whole}
    return shapes | ({} if shift is None else {bias: shift.shape})


def _differences(
    one: Matched, place: Layer | None, base: ModelFiles | None, path: Path
) -> dict[str, Tensor]:
    if base is not None and place:
        moved, shift = change(one, base.read(*place), path)
    else:
        moved, shift = change_alone(one.name, one.tensors)
    weight, bias = _names(one)
    found = {} if set(one.tensors) == {bias} else {weight: moved}
    return found if shift is None else {**found, bias: shift}


def _row(name: str, found: Mapping[str, Tensor]) -> Row:
    value = next(iter(found.values()))
    return compare(name, value, value.half().float())
