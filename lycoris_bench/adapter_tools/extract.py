"""`adapter extract`: writes the difference of two models as an adapter."""

from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lycoris_bench.adapter_tools import result
from lycoris_bench.adapter_tools.error_report import report
from lycoris_bench.adapter_tools.result import ResultLayer
from lycoris_bench.adapter_tools.rounding import stored
from lycoris_bench.adapter_tools.source import Change
from lycoris_bench.adapter_tools.steps import counted
from lycoris_bench.adapter_tools.svd import check_rank, choose, lora, svd
from lycoris_bench.adapter_tools.weights_on_disk import NO_LAYER, ModelFiles, open_model
from lycoris_bench.adapters.algorithms.lokr import LoKr
from lycoris_bench.adapters.delta import changes
from lycoris_bench.adapters.formats.families import family_of
from lycoris_bench.adapters.formats.ss_metadata import carried
from lycoris_bench.adapters.matching import some
from lycoris_bench.files import outputs
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import plural

KINDS = ("lora", "lokr", "full")
RANK = 16
Place = tuple[str, str, str]  # (model, path, "weight" or "bias")


def extract(
    base: str, tuned: str, out: Path, kind: str = "lora", rank: int | None = None,
    energy: float | None = None, factor: int = 8, force: bool = False, layers: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Writes tuned - base as `kind`, and returns the relative error of each layer and of all.

    Layers that are equal in both are left out. Tensors that the kind cannot express (embeddings;
    biases and norms with lora and lokr) are named. BenchError: nothing that the kind can express
    has changed."""
    _check(kind, rank, energy, factor)
    before, after = open_model(base), open_model(tuned)
    outputs.check(out, [before.root, after.root], force)
    changed, left_out = _compare(before, after, kind)
    if not changed:
        but = f"; they differ in {some(left_out)}" if left_out else ""
        raise BenchError(f"{base} and {tuned} differ in no weight that '{kind}' can change{but}")
    result_layers = _full(before, after, changed) if kind == "full" else _matrices(
        before, after, changed, (kind, rank if rank or energy else RANK, energy, factor)
    )  # fmt: skip
    about = carried([{}], family_of(before.widths), same_form=False)
    about |= {"ss_network_module": "lycoris.kohya"} if about else {}
    rows = result.write(out, result_layers, about, force)
    data, text = report(rows, layers, left_out)
    if left_out:
        text += f"\nnot expressible as {kind}: {plural(len(left_out), 'tensor')}: {some(left_out)}"
    text += f"\n{plural(len(rows), 'tensor')} extracted. Result: {out}"
    return {"result": str(out), "kind": kind, **data, "left_out": left_out, "text": text}


def _check(kind: str, rank: int | None, energy: float | None, factor: int) -> None:
    if kind not in KINDS:
        raise BenchError(f"--as is '{kind}'; allowed are: {', '.join(KINDS)}")
    if kind != "lora" and (rank is not None or energy is not None):
        raise BenchError(f"--rank and --energy are for --as lora, not for {kind}")
    check_rank(rank, energy)
    LoKr.check(factor=factor)


def _difference(before: ModelFiles, after: ModelFiles, place: Place) -> Tensor | None:
    """tuned - base in float64; None where they are equal at the lower precision of the two.

    A half-precision copy of the base model differs from it everywhere by rounding alone."""
    old, new = before.read(*place), after.read(*place)
    if old.shape != new.shape:
        raise BenchError(f"{'.'.join(place)} is {tuple(old.shape)} in {before.root} and "
                         f"{tuple(new.shape)} in {after.root}: these are other models")  # fmt: skip
    coarse = old.dtype if old.element_size() < new.element_size() else new.dtype
    if torch.equal(old.to(coarse), new.to(coarse)):
        return None
    delta = new.double() - old.double()
    if not bool(torch.isfinite(delta).all()):
        raise BenchError(f"{'.'.join(place)}: the difference is not finite: a model is damaged")
    return delta


def _compare(before: ModelFiles, after: ModelFiles, kind: str) -> tuple[list[Place], list[str]]:
    """The changed tensors that the kind can express, and the names of those that it cannot."""
    shared = [place for place in before.places if place in after.places]
    if not shared:
        raise BenchError(f"{before.root} and {after.root} have no layer in common")
    changed: list[Place] = []
    left_out: list[str] = []
    for place in counted(shared, "comparing"):
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
        return LoKr.nearest(delta, factor)
    values = svd(delta)
    return lora(values, delta.shape, choose(values.s, rank, energy))


def _matrices(
    before: ModelFiles, after: ModelFiles, changed: list[Place],
    how: tuple[str, int | None, float | None, int],
) -> list[ResultLayer]:  # fmt: skip
    """The change of each layer's weight as LoRA or LoKr."""
    result_layers = []
    for place in counted(changed, "decomposing"):
        name = before.directory.spell(*place[:2], "kohya")
        target = partial(_target, before, after, place)
        delta, _ = target()
        approximation = _approximate(delta, *how)
        approximated, _ = changes(approximation, delta, torch.float64)
        lost = float((delta - approximated).norm() / delta.norm())
        held = stored(name, approximation, _read(before, after, place), lost)
        result_layers.append(ResultLayer(".".join(place[:2]), name, partial(dict, held), target))
    return result_layers


def _target(before: ModelFiles, after: ModelFiles, place: Place) -> Change:
    delta = _difference(before, after, place)
    assert delta is not None
    return delta, None


def _read(before: ModelFiles, after: ModelFiles, place: Place) -> list[Tensor]:
    return [before.read(*place), after.read(*place)]


def _full(before: ModelFiles, after: ModelFiles, changed: list[Place]) -> list[ResultLayer]:
    """The change of each layer's weight and bias as differences, one layer in memory at a time."""
    layers: dict[tuple[str, str], list[Place]] = defaultdict(list)
    for place in changed:
        layers[place[:2]].append(place)
    return [
        ResultLayer(".".join(layer), before.directory.spell(*layer, "kohya"),
             partial(_differences, before, after, places),
             partial(_both, before, after, layer, places))
        for layer, places in layers.items()
    ]  # fmt: skip


def _differences(before: ModelFiles, after: ModelFiles, places: list[Place]) -> dict[str, Tensor]:
    differences = {_full_name(before, place): _target(before, after, place)[0] for place in places}
    like = [value for place in places for value in _read(before, after, place)]
    return stored(".".join(places[0][:2]), differences, like)


def _both(
    before: ModelFiles, after: ModelFiles, layer: tuple[str, str], places: list[Place]
) -> Change:
    differences = {place[2]: _target(before, after, place)[0] for place in places}
    weight = differences.get("weight")
    if weight is None:
        weight = torch.zeros(before.shape(*layer), dtype=torch.float64)
    return weight, differences.get("bias")


def _full_name(model: ModelFiles, place: Place) -> str:
    kind, path, parameter = place
    norm = len(model.shape(kind, path)) == 1
    return {"weight": "w_norm", "bias": "b_norm"}[parameter] if norm else \
        {"weight": "diff", "bias": "diff_b"}[parameter]  # fmt: skip
