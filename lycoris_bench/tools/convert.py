"""`adapter convert`: an adapter as other programs read it, or baked into plain differences."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from lycoris_bench.adapters import exports, peft_export
from lycoris_bench.adapters.files import by_layer, layout_of, read, to_bytes
from lycoris_bench.adapters.peft_config import DIFFUSERS, FOLDER
from lycoris_bench.errors import BenchError
from lycoris_bench.tools import output
from lycoris_bench.tools.bake import bake
from lycoris_bench.tools.errors import Row, norm, report
from lycoris_bench.tools.layer import NeedsModel, change_alone
from lycoris_bench.tools.lowrank import check_rank
from lycoris_bench.tools.matching import some
from lycoris_bench.tools.model_files import ModelFiles, open_model

NAMED = ("kohya", "lycoris", "compvis", "comfyui", "diffusers")  # the same tensors, other names
LAYOUTS = (*NAMED, "peft", "portable", "full")


def convert(
    path: Path, out: Path, to: str, model: str | None = None, rank: int | None = None,
    force: bool = False, layers: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """The same change in another layout; "portable" is plain LoRA, "full" the difference W' - W.

    Names of another layout are known by the model alone. Raises `AdapterFileError` for what a
    layout cannot say; portable leaves norms and biases out, names them, and has status 1."""
    if to not in LAYOUTS:
        raise BenchError(f"--to is '{to}'; allowed are: {', '.join(LAYOUTS)}")
    if rank is not None and to != "portable":
        raise BenchError(f"--rank is for --to portable, not for {to}")
    check_rank(rank, None)
    output.check(out, [path], force)
    base = None if model is None else open_model(model)
    result = {"result": str(out), "layout": to}
    if to == "full":
        rows, left_out = bake(path, out, base, force)
    elif to == "portable":
        rows, left_out = _portable(path, out, base, rank, force)
    else:
        tensors, metadata = read(path)
        about = {key: text for key, text in metadata.items() if key not in (DIFFUSERS, FOLDER)}
        _rename(path, out, to, (tensors, about), base, force)
        return {**result, "text": f"{len(by_layer(tensors))} layers. Result: {out}"}
    data, text = report(rows, layers)
    said = [f"left out, as {to} cannot say it: {some(left_out)}"] if left_out else []
    return {
        **result, **data, "left_out": left_out, "warnings": said, "status": int(bool(left_out)),
        "text": f"{text}\n{len(rows)} layers. Result: {out}",
    }  # fmt: skip


def _rename(
    path: Path, out: Path, to: str, content: tuple[Mapping[str, Tensor], Mapping[str, str]],
    base: ModelFiles | None, force: bool,
) -> None:  # fmt: skip
    tensors, metadata = content
    if base is None:
        if not (to == "kohya" and layout_of(path) == "kohya"):
            raise NeedsModel(f"names of {to} are made from the model's: give --model")
        output.put(out, to_bytes(tensors, metadata), force)
    elif to == "peft":
        made = peft_export.files_of(peft_export.parts(tensors, base.directory))
        with output.whole_folder(out, force) as place:
            for name, data in made.items():
                (place / name).parent.mkdir(exist_ok=True)
                (place / name).write_bytes(data)
    else:
        output.put(out, to_bytes(exports.renamed(tensors, to, base.directory), metadata), force)


def _portable(
    path: Path, out: Path, base: ModelFiles | None, rank: int | None, force: bool
) -> tuple[list[Row], list[str]]:
    """Writes plain LoRA; its layers' errors, and what is left out."""
    tensors, metadata = read(path)
    directory = base.directory if base else None
    made = exports.plain_lora(tensors, directory, rank, base.read if base else None)
    if not made.tensors:
        raise BenchError(f"{path} has nothing that a plain LoRA can say: {some(made.left_out)}")
    about = {"ss_network_module": "networks.lora"}
    about |= {key: metadata[key] for key in ("ss_base_model_version",) if key in metadata}
    output.put(out, to_bytes(made.tensors, about), force)
    rows = []
    for name, own in by_layer(made.tensors).items():
        kept, share = norm(change_alone(name, own)[0]), made.errors[name]
        whole = kept / max(1 - share**2, 1e-12) ** 0.5  # what is kept and lost are orthogonal
        rows.append(Row(name, share * whole, whole, len(own["lora_down.weight"])))
    return rows, list(made.left_out)
