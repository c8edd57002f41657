"""`adapter extract`: the difference of two models as an adapter."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lycoris_bench.adapters.files import to_bytes
from lycoris_bench.adapters.lokr import LoKr
from lycoris_bench.adapters.merged import changes
from lycoris_bench.errors import BenchError
from lycoris_bench.tools import output, stream
from lycoris_bench.tools.errors import Row, compare, report
from lycoris_bench.tools.lowrank import check_rank, choose, lora, nearest_kronecker, svd
from lycoris_bench.tools.matching import some
from lycoris_bench.tools.model_files import NO_LAYER, ModelFiles, open_model

KINDS = ("lora", "lokr", "full")
RANK = 16
Place = tuple[str, str, str]  # (model, path, "weight" or "bias")


def extract(
    base: str, tuned: str, out: Path, kind: str = "lora", rank: int | None = None,
    energy: float | None = None, factor: int = 8, force: bool = False, layers: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """tuned - base as `kind`, with the relative error of each layer and of all.

    Layers that are the same in both are left out. What the kind cannot say (biases and norms
    with lora and lokr, embeddings) is named. Raises `ValueError` where nothing changed."""
    _check(kind, rank, energy, factor)
    before, after = open_model(base), open_model(tuned)
    output.check(out, [before.root, after.root], force)
    changed, left_out = _compare(before, after, kind)
    if not changed:
        but = f"; they differ in {some(left_out)}" if left_out else ""
        raise BenchError(f"{base} and {tuned} differ in no weight that '{kind}' can change{but}")
    if kind == "full":
        rows = _write_full(before, after, changed, out, force)
    else:
        tensors: dict[str, Tensor] = {}
        rows = []
        for place in changed:
            delta = _difference(before, after, place)
            assert delta is not None
            found = _approximate(delta, kind, rank if rank or energy else RANK, energy, factor)
            row = _row(".".join(place[:2]), delta, found)
            rows.append(row)
            name = before.directory.spell(*place[:2], "kohya")
            tensors |= {f"{name}.{key}": value for key, value in found.items()}
        output.put(out, to_bytes(tensors, {"ss_network_module": "lycoris.kohya"}), force)
    data, text = report(rows, layers)
    if left_out:
        text += f"\nnot expressible as {kind}: {len(left_out)} tensors: {some(left_out)}"
    text += f"\n{len(rows)} tensors extracted. Result: {out}"
    return {"result": str(out), "kind": kind, **data, "left_out": left_out, "text": text}


def _check(kind: str, rank: int | None, energy: float | None, factor: int) -> None:
    if kind not in KINDS:
        raise BenchError(f"--as is '{kind}'; allowed are: {', '.join(KINDS)}")
    if kind != "lora" and (rank is not None or energy is not None):
        raise BenchError(f"--rank and --energy are for --as lora, not for {kind}")
    check_rank(rank, energy)
    LoKr.check(factor=factor)


def _difference(before: ModelFiles, after: ModelFiles, place: Place) -> Tensor | None:
    """tuned - base in fp32; None where they are the same, at the lesser precision of the two.

    A half-precision copy of the base model differs from it everywhere by rounding alone."""
    old, new = before.read(*place), after.read(*place)
    if old.shape != new.shape:
        raise BenchError(f"{'.'.join(place)} is {tuple(old.shape)} in {before.root} and "
                         f"{tuple(new.shape)} in {after.root}: these are other models")  # fmt: skip
    coarse = old.dtype if old.element_size() < new.element_size() else new.dtype
    if torch.equal(old.to(coarse), new.to(coarse)):
        return None
    delta = new.float() - old.float()
    if not bool(torch.isfinite(delta).all()):
        raise BenchError(f"{'.'.join(place)}: the difference is not finite: a model is damaged")
    return delta


def _compare(before: ModelFiles, after: ModelFiles, kind: str) -> tuple[list[Place], list[str]]:
    """The tensors that differ and that the kind can say, and the names of those it cannot."""
    shared = [place for place in before.places if place in after.places]
    if not shared:
        raise BenchError(f"{before.root} and {after.root} have no layer in common")
    changed: list[Place] = []
    left_out: list[str] = []
    for place in shared:
        if _difference(before, after, place) is None:
            continue
        matrix = place[2] == "weight" and len(before.shape(*place)) > 1
        if place[1].rpartition(".")[2] not in NO_LAYER and (kind == "full" or matrix):
            changed.append(place)
        else:
            left_out.append(".".join(place))
    return changed, left_out


def _approximate(
    delta: Tensor, kind: str, rank: int | None, energy: float | None, factor: int
) -> dict[str, Tensor]:
    if kind == "lokr":
        return nearest_kronecker(delta, factor)
    values = svd(delta)
    return lora(values, delta.shape, choose(values.s, rank, energy))


def _row(layer: str, delta: Tensor, found: dict[str, Tensor]) -> Row:
    """The error of the tensors as the file holds them."""
    made, _ = changes({key: value.half() for key, value in found.items()}, delta)
    rank = len(found["lora_down.weight"]) if "lora_down.weight" in found else None
    return compare(layer, delta, made, rank)


def _write_full(
    before: ModelFiles, after: ModelFiles, changed: list[Place], out: Path, force: bool
) -> list[Row]:
    """Differences in half precision, one in memory at a time."""
    places = {_full_name(before, place): place for place in changed}
    rows = []

    def content(name: str) -> Iterable[bytes]:
        delta = _difference(before, after, places[name])
        assert delta is not None
        half = delta.half()
        if not bool(torch.isfinite(half).all()):
            raise BenchError(f"the difference of {name} is too large for half precision")
        rows.append(compare(".".join(places[name]), delta, half.float()))
        return stream.pieces(half)

    shapes = {}
    for name in sorted(places):
        shape = before.shape(*places[name])
        shapes[name] = ("F16", tuple(shape), 2 * shape.numel())
    stream.write(out, shapes, content, {stream.HASH: stream.PENDING}, force)
    return rows


def _full_name(model: ModelFiles, place: Place) -> str:
    kind, path, what = place
    norm = len(model.shape(kind, path)) == 1
    names = {"weight": "w_norm", "bias": "b_norm"} if norm else {"weight": "diff", "bias": "diff_b"}
    return f"{model.directory.spell(kind, path, 'kohya')}.{names[what]}"
