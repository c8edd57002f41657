"""`adapter inspect`: describes an adapter file, with or without its base model."""

import contextlib
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lycoris_bench.adapter_tools.conventions import convention, dora_other
from lycoris_bench.adapter_tools.error_report import number, table
from lycoris_bench.adapter_tools.error_report import size as in_words
from lycoris_bench.adapter_tools.layer import alpha, depends_on_weight, kind, needs_model, shape_of
from lycoris_bench.adapter_tools.lengths import length_alone, refuse_beyond_fp32
from lycoris_bench.adapter_tools.steps import counted
from lycoris_bench.adapter_tools.weights_on_disk import ModelFiles, open_model
from lycoris_bench.adapters.algorithms.base import Adapter, fit
from lycoris_bench.adapters.algorithms.dora import axis
from lycoris_bench.adapters.algorithms.factors import norm
from lycoris_bench.adapters.algorithms.recognise import recognise
from lycoris_bench.adapters.delta import changes
from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.formats.families import family_of, inputs_of, stated
from lycoris_bench.adapters.formats.layer_names import block_of
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.adapters.formats.streaming import CHUNK
from lycoris_bench.adapters.matching import Matched, matched
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import plural
from lycoris_bench.messages.printable import printable

DEEPEST = 20  # levels of JSON in metadata that are shown as such
LONGEST = 60  # characters of a family that metadata name


def inspect(path: Path, model: str | None = None, layers: bool = False) -> dict[str, Any]:
    """Layout, algorithms, ranks, scales, layers and norms per block, dtypes, hash, metadata.

    Norms of changes that depend on W are given with `model` only. Raises `AdapterFileError`."""
    divided = model is not None  # without a model the file's own layers are described
    tensors, metadata = adapter_file.read(path, divide=divided)
    base = None if model is None else open_model(model)
    layers_of = adapter_file.by_layer(tensors, divide=divided)
    rows = [_layer(name, tensors_of, metadata) for name, tensors_of in layers_of.items()]
    if base is None:
        _norms_alone(rows, path, layers_of)
    else:
        _norms(rows, path, base, layers_of)
    named = family_of({name: inputs_of(tensors_of) for name, tensors_of in layers_of.items()})
    family = named or stated(metadata)
    result = {
        "file": str(path), **_file(path, tensors), "layout": adapter_file.layout_of(path),
        "family": family or None, "family_by": "names" if named else "metadata" if family else None,
        "algorithms": dict(Counter(row["algorithm"] for row in rows)),
        "ranks": _counts(rows, "rank"), "alphas": _counts(rows, "alpha"),
        "conventions": _conventions(rows), "blocks": _blocks(rows), "metadata": _metadata(metadata),
    }  # fmt: skip
    if layers:
        result["layers"] = rows
    return {**result, "text": _text(result, rows if layers else [])}


def _layer(name: str, tensors: dict[str, Tensor], metadata: Mapping[str, str]) -> dict[str, Any]:
    dim = metadata.get("ss_network_dim", "")
    scale = convention(tensors, int(dim) if dim.isdecimal() and len(dim) < 10 else None)
    algorithm, kind_of = recognise(tensors) or ("unknown", None)
    return {
        "layer": name, "block": block_of(name), "algorithm": algorithm,
        "rank": kind_of.rank(tensors) if kind_of else None, "alpha": alpha(tensors),
        "scale": scale.applied if scale else None, "rule": scale.rule if scale else None,
        "others": dict(scale.others) if scale else {}, "dora_axis": axis(tensors),
        "shapes": {key: list(value.shape) for key, value in tensors.items()}, "norm": None,
    }  # fmt: skip


def _norms_alone(
    rows: list[dict[str, Any]], path: Path, layers: Mapping[str, dict[str, Tensor]]
) -> None:
    for row in counted(rows, "measuring"):
        tensors = layers[row["layer"]]
        if row["algorithm"] == "unknown":
            continue
        with _of(path, row["layer"]):
            if not needs_model(tensors):
                row["norm"] = length_alone(tensors)


def _norms(
    rows: list[dict[str, Any]],
    path: Path,
    base: ModelFiles,
    layers: Mapping[str, dict[str, Tensor]],
) -> None:
    match = matched(layers, base.directory, family_of(base.widths), path, base.root)
    places = {layer.name: (place, layer) for place, layer in match.layers.items()}
    for row in counted(rows, "measuring"):
        if row["layer"] not in places:
            continue
        place, layer = places[row["layer"]]
        weight = base.read(*place)
        with _of(path, row["layer"]):
            moved, size = _moved(layer, weight), norm(weight)
        row |= {"norm": moved, "relative": moved / size if size else None}
        if row["dora_axis"] == "output":
            row["others"]["DoRA by input norms: relative error"] = dora_other(layer.tensors, weight)


def _moved(layer: Matched, weight: Tensor) -> float:
    """|ΔW|, computed from factors where there are any. BenchError: the tensors do not fit W."""
    factored = kind(layer.tensors).length is not Adapter.length
    if factored and not depends_on_weight(layer.tensors):
        fit(torch.empty(shape_of(layer.tensors), device="meta").flatten(1), weight)
        return length_alone(layer.tensors)
    change, _ = changes(layer.tensors, weight, torch.float64)
    refuse_beyond_fp32(change)
    return norm(change)


@contextlib.contextmanager
def _of(path: Path, layer: str) -> Iterator[None]:
    """Names the file and the layer in an error."""
    try:
        yield
    except BenchError as error:
        raise AdapterFileError(f"{path}: {layer}: {error}") from None


def _file(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Size and hash of the file, or of all in a PEFT folder, in the order of their names."""
    whole = hashlib.sha256()
    inside = sorted(path.rglob("*.safetensors")) if path.is_dir() else [path]
    parts = [part for part in inside if part.is_file()]
    for part in parts:
        with part.open("rb") as handle:
            while piece := handle.read(CHUNK):
                whole.update(piece)
    kinds = Counter(str(value.dtype).removeprefix("torch.") for value in tensors.values())
    return {
        "bytes": sum(part.stat().st_size for part in parts),
        "sha256": whole.hexdigest(), "tensors": len(tensors),
        "parameters": sum(value.numel() for value in tensors.values()), "dtypes": dict(kinds),
    }  # fmt: skip


def _counts(rows: list[dict[str, Any]], key: str) -> dict[str, int]:
    return {number(value): n for value, n in Counter(row[key] for row in rows).items()}


def _conventions(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups layers by rule; the factors of other rules become ranges."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["rule"] is not None or row["dora_axis"]:
            groups[row["algorithm"], row["rule"], row["dora_axis"]].append(row)
    conventions = []
    for (algorithm, rule, side), group in groups.items():
        factors: dict[str, list[float]] = defaultdict(list)
        for row in group:
            for name, factor in row["others"].items():
                factors[name].append(factor)
        others = {name: [min(values), max(values)] for name, values in factors.items()}
        conventions.append({"algorithm": algorithm, "layers": len(group), "rule": rule,
                      "scale": group[0]["scale"], "dora_axis": side, "others": others})  # fmt: skip
    return conventions


def _blocks(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["block"]].append(row)
    blocks = {}
    for block, group in groups.items():
        norms = [row["norm"] for row in group]
        whole = None if None in norms else sum(value**2 for value in norms) ** 0.5
        blocks[block] = {"layers": len(group), "norm": whole}
    return blocks


def _metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The file's metadata, with JSON texts parsed and tags counted."""
    shown = {key: _parsed(text) for key, text in sorted(metadata.items())}
    tags = shown.get("ss_tag_frequency")
    if isinstance(tags, dict):
        names = {tag for folder in tags.values() if isinstance(folder, dict) for tag in folder}
        shown["ss_tag_frequency"] = {"folders": len(tags), "tags": len(names)}
    return shown


def _parsed(text: str) -> Any:
    """The value of a JSON text; the text itself where it is no JSON or is nested too deeply."""
    if text[:1] not in ("{", "["):
        return text
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()  # half a character of UTF-16 has no bytes
    except (ValueError, RecursionError):
        return text
    return value if _shallow(value, DEEPEST) else text


def _shallow(value: Any, levels: int) -> bool:
    inside = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(inside, list):
        return True
    return levels > 0 and all(_shallow(item, levels - 1) for item in inside)


def _family(result: Mapping[str, Any]) -> str:
    if result["family"] is None:
        return "a family that neither its names nor its metadata tell"
    by = " (by its metadata; its names do not tell)" if result["family_by"] == "metadata" else ""
    return f"{printable(result['family'], LONGEST)}{by}"


def _text(result: dict[str, Any], layers: list[dict[str, Any]]) -> str:
    def listed(counts: Mapping[str, int]) -> str:
        return ", ".join(f"{name} ({n})" for name, n in counts.items())

    lines = [
        f"file        {printable(result['file'])}, {in_words(result['bytes'])}, "
        f"layout {result['layout']}",
        f"for         {_family(result)}",
        f"sha256      {result['sha256']}",
        f"tensors     {result['tensors']}: {listed(result['dtypes'])}, "
        f"{plural(result['parameters'], 'number')}",
        f"algorithms  {listed(result['algorithms'])} layers",
        f"ranks       {listed(result['ranks'])}",
        f"alphas      {listed(result['alphas'])}",
    ]
    for group in result["conventions"]:
        axis = f", DoRA on the {group['dora_axis']} axis" if group["dora_axis"] else ""
        lines.append(
            f"scale       {group['rule']}{axis}: {plural(group['layers'], 'layer')} of "
            f"{group['algorithm']}"
        )
        for name, (low, high) in group["others"].items():
            span = number(low) if abs(high - low) < 1e-6 * abs(high) else (
                f"{number(low)} to {number(high)}")  # fmt: skip
            lines.append(f"            {name}: x {span}")
    blocks = [
        (printable(name), group["layers"], group["norm"])
        for name, group in result["blocks"].items()
    ]
    lines += ["", table(("block", "layers", "norm of change"), blocks)]
    if any(group["norm"] is None for group in result["blocks"].values()):
        lines.append("norms marked - need the base model: give --model")
    if layers:
        rows = [
            (printable(r["layer"]), r["algorithm"], r["rank"], r["alpha"], r["norm"])
            for r in layers
        ]
        lines += ["", table(("layer", "algorithm", "rank", "alpha", "norm"), rows)]
    lines.append("")
    lines += [f"{printable(key)}: {printable(value)}" for key, value in result["metadata"].items()]
    return "\n".join(lines).rstrip()
