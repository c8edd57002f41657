"""`adapter combine`: one file that means the weighted sum of several."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from lycoris_bench.adapters.files import AdapterFileError, by_layer, read, to_bytes
from lycoris_bench.errors import BenchError
from lycoris_bench.tools import output
from lycoris_bench.tools.errors import Row, report
from lycoris_bench.tools.layer import NeedsModel, algorithm
from lycoris_bench.tools.lowrank import check_rank
from lycoris_bench.tools.matching import change, matched
from lycoris_bench.tools.model_files import ModelFiles, open_model
from lycoris_bench.tools.sums import Part, add_up
from lycoris_bench.tools.tables import table

COMPVIS = re.compile(r"_(?:input_blocks|output_blocks|middle_block)_")
Parts = dict[str, list[Part]]  # layer name in the output -> what is added


def combine(
    files: Sequence[Path], out: Path, weights: Sequence[float] = (), rank: int | None = None,
    model: str | None = None, force: bool = False, layers: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """The sum of weight · change, layer by layer, each in the shortest form that is exact.

    LoRAs are put side by side and full differences added up; other mixtures become the sum's own
    LoRA where its rank is small, else a full difference, or with `rank` the nearest LoRA. Raises
    `NeedsModel` where a change depends on W and no model is given."""
    check_rank(rank, None)
    output.check(out, list(files), force)
    base = None if model is None else open_model(model)
    parts = _gather(files, _weights(weights, files), base)
    tensors: dict[str, Tensor] = {}
    rows: list[Row] = []
    kinds: dict[str, list[Row]] = defaultdict(list)
    for name, own in parts.items():
        try:
            made, how, row = add_up(name, own, rank)
        except NeedsModel:
            raise
        except ValueError as error:
            raise BenchError(f"{name}: {error}") from None
        tensors |= {f"{name}.{key}": value for key, value in made.items()}
        rows.append(row)
        kinds[how].append(row)
    output.put(out, to_bytes(tensors, {"ss_network_module": "lycoris.kohya"}), force)
    data, text = report(rows, layers)
    made_of = [(how, len(own), max(row.error for row in own)) for how, own in kinds.items()]
    text = f"{table(('how', 'layers', 'largest error'), made_of)}\n\n{text}\nResult: {out}"
    return {"result": str(out), "how": dict(Counter({h: n for h, n, _ in made_of})), **data,
            "text": text}  # fmt: skip


def _weights(weights: Sequence[float], files: Sequence[Path]) -> list[float]:
    given = list(weights) or [1.0] * len(files)
    if len(given) != len(files):
        raise BenchError(f"there are {len(files)} files and {len(given)} weights; "
                         "give --weight once for each file, in their order")  # fmt: skip
    if not all(map(math.isfinite, given)):
        raise BenchError("a weight is not finite; give a number such as 0.5")
    return given


def _gather(files: Sequence[Path], weights: list[float], base: ModelFiles | None) -> Parts:
    """The parts of each layer; a file that is given twice counts once, its weights added."""
    whole: dict[Path, float] = defaultdict(float)
    for file, weight in zip(files, weights, strict=True):
        whole[file.resolve()] += weight
    parts: Parts = defaultdict(list)
    styles = set()
    for file, weight in whole.items():
        if base is not None:
            for place, one in matched(file, base).layers.items():
                name = base.directory.spell(*place, "kohya")
                value = base.read(*place)
                parts[name].append(Part(one.tensors, weight, change(one, value, file)))
            continue
        layers = by_layer(read(file)[0])
        styles.add(any(COMPVIS.search(name) for name in layers))
        for name, tensors in layers.items():
            if algorithm(tensors) == "unknown":
                raise AdapterFileError(f"{file}: {name} is of no known algorithm: "
                                       f"{', '.join(tensors)}")  # fmt: skip
            parts[_plain(name)].append(Part(tensors, weight, None))
    if len(styles) > 1:
        raise NeedsModel("the files name their layers in two ways (CompVis and diffusers): "
                         "give --model, so that they meet")  # fmt: skip
    return parts


def _plain(name: str) -> str:
    """A name as kohya's files have it, so that two spellings of a layer meet."""
    name = re.sub(r"^lycoris_(?=unet_|te\d?_|transformer_)", "lora_", name)
    return re.sub(r"^(lora_te\d?_)(?=encoder_|embeddings_|final_)", r"\1text_model_", name)
