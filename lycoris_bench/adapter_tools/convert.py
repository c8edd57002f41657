"""`adapter convert`: writes an adapter in another program's layout, as plain LoRA, or as full
differences."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from lycoris_bench.adapter_tools import result
from lycoris_bench.adapter_tools.cautions import cautions
from lycoris_bench.adapter_tools.error_report import Row, report
from lycoris_bench.adapter_tools.full_difference import to_full_difference
from lycoris_bench.adapter_tools.layer import NeedsModel
from lycoris_bench.adapter_tools.naming import kohya, named
from lycoris_bench.adapter_tools.result import ResultLayer
from lycoris_bench.adapter_tools.rounding import kept, stored
from lycoris_bench.adapter_tools.source import Adapter, Change, Source, open_adapter
from lycoris_bench.adapter_tools.steps import counted
from lycoris_bench.adapter_tools.svd import check_rank
from lycoris_bench.adapter_tools.weights_on_disk import ModelFiles, open_model
from lycoris_bench.adapters.formats import peft_write, write
from lycoris_bench.adapters.formats.adapter_file import by_layer, layout_of
from lycoris_bench.adapters.formats.ss_metadata import carried, of_lora
from lycoris_bench.adapters.matching import some
from lycoris_bench.files import outputs
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import plural

Tensors = Mapping[str, Tensor]
NAMED = ("kohya", "lycoris", "compvis", "comfyui", "diffusers")  # the same tensors, other names
LAYOUTS = (*NAMED, "peft", "portable", "full")


def convert(
    path: Path, out: Path, to: str, model: str | None = None, rank: int | None = None,
    force: bool = False, layers: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Writes the same change in another layout; "portable" is plain LoRA, "full" is W' - W.

    Names of most layouts need the model. The error is measured on the file as it is read back.
    What is left out is named, and the status is then 1. AdapterFileError: the layout cannot
    express a layer."""
    if to not in LAYOUTS:
        raise BenchError(f"--to is '{to}'; allowed are: {', '.join(LAYOUTS)}")
    if rank is not None and to != "portable":
        raise BenchError(f"--rank is for --to portable, not for {to}")
    check_rank(rank, None)
    outputs.check(out, [path], force, folder=to == "peft")
    base = None if model is None else open_model(model)
    adapter = open_adapter(path, base)
    for source in counted(adapter.layers, "checking"):
        source.check()
    left_out = list(adapter.left_out)
    about = carried([adapter.metadata], adapter.family, same_form=False)
    if to == "full":
        about |= {"ss_network_module": "lycoris.kohya"} if about else {}
        rows = to_full_difference(adapter, out, base, about, force)
    elif to == "portable":
        about |= {"ss_network_module": "networks.lora"} if about else {}
        rows, lost = _portable(adapter, out, base, rank, about, force)
        left_out += lost
    elif to == "peft":
        rows = _peft(adapter, out, base, force)
    else:
        result_layers, changed = _renamed(adapter, to, base)
        if about and to == "diffusers":
            about |= of_lora([len(layer.tensors()["lora_A.weight"]) for layer in result_layers])
        elif not changed:
            about = carried([adapter.metadata], adapter.family, same_form=True)
        rows = result.write(out, result_layers, about, force)
    data, text = report(rows, layers, left_out)
    if not any(row.norm for row in rows):
        text = "the same numbers, bit by bit"
    warnings = cautions(adapter, to)
    warnings += [f"left out, as {to} cannot say it: {some(left_out)}"] if left_out else []
    return {
        "result": str(out), "layout": to, **data, "left_out": left_out, "warnings": warnings,
        "status": int(bool(left_out)),
        "text": f"{text}\n{plural(len(rows), 'layer')}. Result: {out}",
    }  # fmt: skip


def _renamed(adapter: Adapter, to: str, base: ModelFiles | None) -> tuple[list[ResultLayer], bool]:
    """The layers of the result, and whether any value differs from the file's."""
    if base is None:
        if to not in ("kohya", "lycoris", "compvis") or layout_of(adapter.path) != to:
            raise NeedsModel(f"names of {to} are made from the model's: give --model")
        same = [
            ResultLayer(x.name, x.name, _given(kept(x.name, x.tensors)), None)
            for x in adapter.layers
        ]
        return same, False
    renamed = []
    changed = False
    for source in counted(adapter.layers, "converting"):
        assert source.place is not None
        in_layout = write.in_layout(source.name, source.tensors, to, source.place, base.directory)
        is_same = all(value is source.tensors.get(key) for key, value in in_layout.items())
        tensors = (kept(source.name, in_layout) if is_same else
                   stored(source.name, in_layout, source.tensors.values()))  # fmt: skip
        changed |= not is_same
        renamed.append((source, write.spelled(source.place, to, base.directory), tensors))
    layers = [
        ResultLayer(source.name, layer, _given(tensors), source.change if changed else None,
                    source.weight, source.factors)
        for source, layer, tensors in renamed
    ]  # fmt: skip
    return layers, changed


def _given(tensors: Tensors) -> Callable[[], Tensors]:
    return lambda: tensors


def _portable(
    adapter: Adapter, out: Path, base: ModelFiles | None, rank: int | None,
    about: Mapping[str, str], force: bool,
) -> tuple[list[Row], list[str]]:  # fmt: skip
    """Writes plain LoRA. Returns the error of each layer, and the names that are left out."""
    tensors = {f"{x.name}.{key}": value for x in adapter.layers for key, value in x.tensors.items()}
    for source in adapter.layers:
        source.shape()  # NeedsModel where the tensors do not show a kernel's size
    portable = write.plain_lora(tensors, base.directory if base else None, rank,
                              base.read if base else None,
                              partial(counted, what="converting"))  # fmt: skip
    if not portable.tensors:
        raise BenchError(
            f"{adapter.path} has nothing that a plain LoRA can say: {some(portable.left_out)}"
        )
    loras = by_layer(portable.tensors, divide=False)
    pairs = [(x, loras[name]) for x in adapter.layers if (name := _spelled(x)) in loras]
    names = [(_spelled(x), lora) for x, lora in pairs] if base else named(pairs, None)
    layers = [
        ResultLayer(_spelled(source), layer,
                    _given(stored(source.name, new, source.tensors.values(),
                                  portable.errors[_spelled(source)])),
                    partial(_weight_change, source), source.weight, source.factors)
        for (source, _), (layer, new) in counted([*zip(pairs, names, strict=True)], "rounding")
    ]  # fmt: skip
    return result.write(out, layers, about, force), list(portable.left_out)


def _spelled(source: Source) -> str:
    return kohya(source) if source.base else source.name


def _weight_change(source: Source) -> Change:
    """The change of a layer without that of its bias."""
    return source.change()[0], None


def _peft(adapter: Adapter, out: Path, base: ModelFiles | None, force: bool) -> list[Row]:
    """Writes a folder for each model kind."""
    if base is None:
        raise NeedsModel("names of peft are made from the model's: give --model")
    layers = counted(adapter.layers, "converting")
    whole = {kohya(x): kept(x.name, x.tensors) for x in layers}
    flat = {f"{name}.{key}": value for name, part in whole.items() for key, value in part.items()}
    contents = peft_write.files_of(peft_write.parts(flat, base.directory))
    written = [
        ResultLayer(x.name, kohya(x), dict, x.change, x.weight, x.factors) for x in adapter.layers
    ]
    with outputs.whole_folder(out, force) as place:
        for name, data in contents.items():
            (place / name).parent.mkdir(exist_ok=True)
            (place / name).write_bytes(data)
        return result.read_back(place, written, base.directory.find)
