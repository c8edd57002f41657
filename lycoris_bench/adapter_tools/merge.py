"""`adapter merge`: writes a base model's files with adapters merged, a tensor at a time.

A tensor that no adapter changes is copied byte by byte; one that is changed is read, changed in
fp32 by the sum of all changes of the base, rounded once and written."""

import math
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lycoris_bench.adapter_tools.error_report import table
from lycoris_bench.adapter_tools.fits import fits_model
from lycoris_bench.adapter_tools.rounding import check as check_range
from lycoris_bench.adapter_tools.steps import counted
from lycoris_bench.adapter_tools.strengths import check as strengths_allowed
from lycoris_bench.adapter_tools.weights_on_disk import MODELS, Layer, ModelFiles, open_model
from lycoris_bench.adapters.algorithms.base import add
from lycoris_bench.adapters.algorithms.factors import norm
from lycoris_bench.adapters.delta import NO_BIAS, merged_bias
from lycoris_bench.adapters.formats import streaming
from lycoris_bench.adapters.formats.adapter_file import by_layer, read
from lycoris_bench.adapters.formats.families import family_of
from lycoris_bench.adapters.formats.layer_names import block_of
from lycoris_bench.adapters.formats.ss_metadata import HASHES
from lycoris_bench.adapters.matching import AdapterMismatch, Match, Matched, change, matched
from lycoris_bench.files import outputs
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import plural
from lycoris_bench.messages.printable import printable
from lycoris_bench.models.compvis_names import Spot

Adapters = Sequence[tuple[Path, Match, float]]
OTHER_WEIGHTS = (".bin", ".ckpt", ".pt", ".pth", ".msgpack", ".onnx", ".onnx_data", ".h5")


def merge(
    model: str,
    files: Sequence[Path],
    out: Path,
    strengths: Sequence[float] = (),
    force: bool = False,
) -> dict[str, Any]:
    """Writes base + the sum of strength · ΔW in the base model's own layout, dtypes and metadata.

    Layers that are left out are named, and the status is then 1. AdapterMismatch: a file matches
    no layer, or its tensors do not fit."""
    given = list(zip(files, _strengths(strengths, files), strict=True))
    base = open_model(model)
    outputs.check(out, [base.root, *files], force, folder=base.is_folder)
    family = family_of(base.widths)
    adapters = [
        (file, matched(by_layer(read(file)[0]), base.directory, family, file, base.root), strength)
        for file, strength in counted(given, "reading")
    ]
    for file, match, _ in adapters:
        _fit(file, match, base)
    merger = _Merger(base, adapters)
    left_out: list[str] = []
    if base.is_folder:
        with outputs.whole_folder(out, force) as part:
            left_out = _others(base.root, part)
            for file in base.holds:
                merger.write(file, part / file.relative_to(base.root), force=True)
    else:
        merger.write(base.root, out, force)
    warnings = [f"{f.name}: {m.sentence()}" for f, m, _ in adapters if not m.complete]
    if left_out:
        warnings.append(f"weights in other formats are not merged and not copied: "
                        f"{', '.join(left_out)}")  # fmt: skip
    blocks = merger.blocks()
    text = table(("block", "layers", "change"), [(b, n, c) for b, (n, c) in blocks.items()])
    return {
        "model": str(base.root), "result": str(out), "merged_layers": len(merger.parts),
        "adapters": [{"file": str(f), "strength": s, "matched": len(m.layers),
                      "left_out": m.missing + m.unknown} for f, m, s in adapters],
        "change": {block: value for block, (_, value) in blocks.items()},
        "warnings": warnings, "status": int(any(not m.complete for _, m, _ in adapters)),
        "text": f"{text}\n{plural(len(merger.parts), 'layer')} merged. Result: {out}",
    }  # fmt: skip


def _strengths(strengths: Sequence[float], files: Sequence[Path]) -> list[float]:
    given = list(strengths) or [1.0]
    given = given * len(files) if len(given) == 1 else given
    if len(given) != len(files):
        raise BenchError(
            f"{plural(len(files), 'adapter')} and {plural(len(given), 'strength')} are given; "
            "give --strength once, or once for each adapter in their order"
        )
    return strengths_allowed("--strength", given)


def _fit(file: Path, match: Match, base: ModelFiles) -> None:
    """Checks the layers of a file before any work. AdapterMismatch: one does not fit the model."""
    for place, layer in match.layers.items():
        try:
            fits_model(layer.tensors, base, place)
        except BenchError as error:
            raise AdapterMismatch(f"{file}: {layer.name}: {error}") from None


class _Merger:
    """Writes the files of a model with their changes, and measures the change of each block."""

    def __init__(self, base: ModelFiles, adapters: Adapters) -> None:
        self.base = base
        self.parts: dict[Layer, list[tuple[Path, Matched, float]]] = defaultdict(list)
        for file, match, strength in adapters:
            for place, layer in match.layers.items():
                self.parts[place].append((file, layer, strength))
        self._squares: dict[str, dict[Layer, tuple[float, float]]] = defaultdict(dict)

    def write(self, source: Path, target: Path, force: bool) -> None:
        """Writes one file of the model with its changes."""
        reader = self.base.readers[source]
        holds = self.base.holds[source]
        shapes = {
            key: (entry.dtype, entry.shape, entry.end - entry.begin)
            for key, entry in reader.entries.items()
        }

        # with its folder's name, since the files of a pipeline's parts have equal names
        where = printable(source.relative_to(source.parent.parent), 60)
        written = counted(list(shapes), f"merging {where}")

        def content(key: str) -> Iterable[bytes]:
            next(written)
            spots = [spot for spot in holds.get(key, []) if (spot.model, spot.path) in self.parts]
            if not spots:
                return reader.pieces(key)
            return streaming.pieces(self._changed(reader.tensor(key), spots))

        kept = {name: text for name, text in reader.metadata.items() if name not in HASHES}
        streaming.write(target, shapes, content, kept, force)

    @torch.no_grad()
    def _changed(self, value: Tensor, spots: Iterable[Spot]) -> Tensor:
        """The tensor with the changes of all layers in it; a tensor may stack q, k and v."""
        for spot in spots:
            rows = value if spot.third is None else value.chunk(3)[spot.third]
            rows.copy_(self._layer(rows.clone(), spot))
        return value

    def _layer(self, value: Tensor, spot: Spot) -> Tensor:
        layer = (spot.model, spot.path)
        moves: list[tuple[Tensor, float]] = []
        for file, adapter_layer, strength in self.parts[layer]:
            if spot.kind == "bias":
                shift = bias_change(adapter_layer, value, file)
            else:
                shift, bias = change(adapter_layer, value, file)
                if bias is not None and not self.base.has(*layer, "bias"):
                    raise AdapterMismatch(f"{file}: {adapter_layer.name}: {NO_BIAS}")
            moves.append((shift, strength))
        if spot.kind == "weight":
            total = torch.stack([strength * shift for shift, strength in moves]).sum(0)
            squares = (norm(total) ** 2, norm(value) ** 2)
            self._squares[block_of(".".join(layer))][layer] = squares
        moves = [(shift, strength) for shift, strength in moves if strength]
        if not moves:
            return value
        if not value.is_floating_point():
            kind = str(value.dtype).removeprefix("torch.")
            raise AdapterMismatch(f"{'.'.join(layer)} is stored as {kind} in {self.base.root}, "
                                  "which takes no change: give an unquantized model")  # fmt: skip
        changed = add(value.float(), *moves)
        check_range(f"{'.'.join(layer)} ({spot.kind})", changed, value.dtype)
        return changed.to(value.dtype)

    def blocks(self) -> dict[str, tuple[int, float]]:
        """Block -> layers changed and |strength · ΔW| / |W|."""
        return {
            block: (len(layers), _ratio(layers.values())) for block, layers in self._squares.items()
        }


def bias_change(layer: Matched, bias: Tensor, source: str | Path = "") -> Tensor:
    """Δb of a layer in fp32, zero where the bias stays."""
    try:
        shift = merged_bias(layer.tensors, torch.zeros_like(bias, dtype=torch.float32))
    except ValueError as error:
        raise AdapterMismatch(f"{source}: {layer.name}: {error}") from None
    assert shift is not None  # as a bias was given
    if not bool(torch.isfinite(shift).all()):
        raise AdapterMismatch(f"{source}: {layer.name}: its change is not finite")
    return shift


def _ratio(pairs: Iterable[tuple[float, float]]) -> float:
    changed, base = (sum(column) for column in zip(*pairs, strict=True))
    return math.sqrt(changed / base) if base else float("inf" if changed else 0)


def _others(root: Path, target: Path) -> list[str]:
    """Copies all other files of a pipeline's folder. Returns the names of weights in other formats,
    which are neither merged nor copied."""
    left_out: list[str] = []
    for file in counted(sorted(root.rglob("*")), "copying"):
        name = file.relative_to(root)
        if not file.is_file() or name.parts[0].startswith("."):
            continue
        in_part = name.parts[0] in MODELS
        loose = len(name.parts) == 1 and file.suffix == ".safetensors"  # an unmerged copy of all
        if loose or ((in_part or len(name.parts) == 1) and file.suffix in OTHER_WEIGHTS):
            left_out.append(name.as_posix())
        elif not (in_part and file.suffix == ".safetensors" and len(name.parts) == 2):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target / name)
    return left_out
