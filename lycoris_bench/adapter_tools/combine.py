"""`adapter combine`: writes one file with the weighted sum of several adapters."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from lycoris_bench.adapter_tools import result, strengths
from lycoris_bench.adapter_tools.error_report import Row, report, table
from lycoris_bench.adapter_tools.kinship import check_one_family
from lycoris_bench.adapter_tools.layer import NeedsModel
from lycoris_bench.adapter_tools.naming import as_in_file, check_one_way, kohya, plain_name
from lycoris_bench.adapter_tools.result import ResultLayer
from lycoris_bench.adapter_tools.rounding import kept, stored
from lycoris_bench.adapter_tools.source import Adapter, open_adapter
from lycoris_bench.adapter_tools.steps import counted
from lycoris_bench.adapter_tools.svd import check_rank
from lycoris_bench.adapter_tools.weighted_sum import Part, Sum, add_up
from lycoris_bench.adapter_tools.weights_on_disk import ModelFiles, open_model
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.adapters.formats.ss_metadata import carried
from lycoris_bench.adapters.matching import some
from lycoris_bench.files import outputs
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import plural


class Added(NamedTuple):
    """One layer of the result, the method that made it, and whether it keeps the tensor names and
    shapes of its only source."""

    how: str
    keeps_form: bool
    layer: ResultLayer


def combine(
    files: Sequence[Path], out: Path, weights: Sequence[float] = (), rank: int | None = None,
    model: str | None = None, force: bool = False, layers: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Writes the sum of weight · ΔW, each layer in the shortest form that is exact.

    LoRAs are concatenated and full differences added; other mixtures become a LoRA of the sum
    where its rank is small, else a full difference, or with `rank` the nearest LoRA. NeedsModel:
    a change depends on W and no model is given. AdapterMismatch: the files are of different
    families."""
    check_rank(rank, None)
    outputs.check(out, list(files), force)
    whole: dict[Path, float] = defaultdict(float)  # a file given twice counts once
    for file, weight in zip(files, _weights(weights, files), strict=True):
        whole[file.resolve()] += weight
    base = None if model is None else open_model(model)
    adapters = [open_adapter(file, base) for file in whole]
    family = check_one_family(adapters)
    groups: dict[Hashable, list[Part]] = defaultdict(list)
    for adapter, weight in zip(adapters, whole.values(), strict=True):
        for source in adapter.layers:
            groups[source.place or plain_name(source.name)].append(Part(source, weight))
    keep_names = _keep_names(adapters, base is not None)
    sums = _added(list(groups.values()), rank, base, keep_names)
    result_layers = [added.layer for added in sums]
    same_form = len(adapters) == 1 and all(added.keeps_form for added in sums)
    about = carried([adapter.metadata for adapter in adapters], family, same_form)
    if not same_form and about:
        about["ss_network_module"] = "lycoris.kohya"
    rows = result.write(out, result_layers, about, force)
    left_out = [f"{a.path.name}: {name}" for a in adapters for name in a.left_out]
    data, text = report(rows, layers, left_out)
    kinds: dict[str, list[Row]] = defaultdict(list)
    for added, row in zip(sums, rows, strict=True):
        kinds[added.how].append(row)
    made_of = [(how, len(group), max(row.error for row in group)) for how, group in kinds.items()]
    text = f"{table(('how', 'layers', 'largest error'), made_of)}\n\n{text}\nResult: {out}"
    warnings = [f"left out: {some(left_out)}"] if left_out else []
    return {"result": str(out), "how": dict(Counter({h: n for h, n, _ in made_of})), **data,
            "left_out": left_out, "warnings": warnings, "status": int(bool(warnings)),
            "text": text}  # fmt: skip


def _weights(weights: Sequence[float], files: Sequence[Path]) -> list[float]:
    given = list(weights) or [1.0] * len(files)
    if len(given) != len(files):
        raise BenchError(f"{plural(len(files), 'file')} and {plural(len(given), 'weight')} are "
                         "given; give --weight once for each file, in their order")  # fmt: skip
    return strengths.check("--weight", given)


def _keep_names(adapters: Sequence[Adapter], with_model: bool) -> bool:
    """Whether all files name their layers in one way. NeedsModel: they do not, and no model is
    given."""
    try:
        check_one_way(source.name for adapter in adapters for source in adapter.layers)
    except NeedsModel:
        if not with_model:
            raise
        return False
    return True


def _sum(parts: Sequence[Part], rank: int | None) -> Sum:
    name = plain_name(parts[0].source.name)
    try:
        return add_up(parts, rank)
    except (NeedsModel, AdapterFileError):
        raise
    except ValueError as error:
        raise BenchError(f"{name}: {error}") from None


def _added(
    groups: Sequence[Sequence[Part]], rank: int | None, base: ModelFiles | None, keep_names: bool
) -> list[Added]:
    """Adds up, names and rounds the layers one by one, since sums are in float64. Where the files'
    own naming cannot express a layer, all layers get kohya's names, if a model is given."""
    try:
        way = "adding" if keep_names else "adding by the model's names"
        return [_one(parts, rank, keep_names) for parts in counted(groups, way)]
    except NeedsModel:
        if base is None or not keep_names:
            raise
    return _added(groups, rank, base, keep_names=False)


def _one(parts: Sequence[Part], rank: int | None, keep_name: bool) -> Added:
    total = _sum(parts, rank)
    source = total.parts[0].source
    layer, tensors = (
        as_in_file(source, total.tensors) if keep_name else (kohya(source), total.tensors)
    )
    name = layer.replace(".", "_")
    sources = [value for part in total.parts for value in part.source.tensors.values()]
    held = (
        kept(name, tensors)
        if total.as_is and tensors is total.tensors
        else stored(name, tensors, sources, total.lost)
    )
    blind = total.as_is and not source.is_known
    light = replace(total, tensors={})
    target = None if blind else light.target
    summed = ResultLayer(name, layer, partial(dict, held), target, source.weight, light.factors)
    return Added(total.how, total.keeps_form, summed)
