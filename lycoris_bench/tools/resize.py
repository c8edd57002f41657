"""`adapter resize`: any adapter as a LoRA of a smaller rank, energy share or file size."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from lycoris_bench.adapters.base import BIAS, scale
from lycoris_bench.adapters.files import AdapterFileError, by_layer, read, to_bytes
from lycoris_bench.adapters.lora import DOWN, MID, UP
from lycoris_bench.errors import BenchError
from lycoris_bench.tools import output
from lycoris_bench.tools.errors import Row, report
from lycoris_bench.tools.layer import (
    NeedsModel,
    algorithm,
    change_alone,
    is_unrolled,
    shape_of,
)
from lycoris_bench.tools.lowrank import Svd, check_rank, choose, lora, svd, svd_of_product, tail
from lycoris_bench.tools.matching import change, matched
from lycoris_bench.tools.model_files import open_model
from lycoris_bench.tools.sizes import HALF, within

Shaped = tuple[Svd, Any]  # and the weight's shape


def resize(
    path: Path, out: Path, rank: int | None = None, energy: float | None = None,
    megabytes: float | None = None, model: str | None = None, force: bool = False,
    layers: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """A LoRA of the file's change: of `rank`, of the least rank with this `energy` share, or of
    at most `megabytes` (2^20 bytes), where one threshold of singular values serves all layers.

    Norms and biases are kept as they are. The error is that of the values left out."""
    _check(rank, energy, megabytes)
    output.check(out, [path], force)
    tensors, metadata = read(path)
    found, kept = _decompose(path, tensors, model)
    content: bytes | None = None
    if megabytes is None:
        ranks = {name: choose(one.s, rank, energy) for name, (one, _) in found.items()}
        content, made = _write(found, ranks, kept, metadata)
    else:
        content, ranks, made = _fit(found, kept, metadata, int(megabytes * 2**20))
    output.put(out, content, force)
    rows = [Row(name, tail(one.s, ranks[name]), tail(one.s, 0), ranks[name])
            for name, (one, _) in found.items()]  # fmt: skip
    data, text = report(rows, layers)
    if kept:
        text += f"\n{len(kept)} tensors of norms and biases kept as they are"
    text += f"\n{made} layers, {len(content):,} bytes. Result: {out}"
    return {"result": str(out), "bytes": len(content), **data, "kept": sorted(kept), "text": text}


def _check(rank: int | None, energy: float | None, megabytes: float | None) -> None:
    if sum(value is not None for value in (rank, energy, megabytes)) != 1:
        raise BenchError("give one of --rank, --energy and --size")
    check_rank(rank, energy)
    if megabytes is not None and not 0 < megabytes < 1e6:
        raise BenchError(f"--size is {megabytes:g}; a number of MiB above 0 is allowed")


def _decompose(
    path: Path, tensors: Mapping[str, Tensor], model: str | None
) -> tuple[dict[str, Shaped], dict[str, Tensor]]:
    """Layer -> its change as an SVD, with the weight's shape; and tensors that are no matrix."""
    found: dict[str, Shaped] = {}
    kept: dict[str, Tensor] = {}
    base = None if model is None else open_model(model)
    places = {} if base is None else {
        one.name: (place, one) for place, one in matched(path, base).layers.items()
    }  # fmt: skip
    for name, layer in by_layer(tensors).items():
        kind = algorithm(layer)
        if kind == "unknown":
            raise AdapterFileError(f"{path}: {name} is of no known algorithm: {', '.join(layer)}")
        if kind == "norm" or set(layer) == {BIAS}:
            kept |= {f"{name}.{key}": value for key, value in layer.items()}
            continue
        if BIAS in layer:
            kept[f"{name}.{BIAS}"] = layer[BIAS]
        if base is not None and name in places and not is_plain_lora(layer):
            place, one = places[name]
            found[name] = svd(change(one, base.read(*place), path)[0]), base.shape(*place)
            continue
        try:
            found[name] = _alone(name, layer)
        except NeedsModel:
            raise
        except ValueError as error:
            raise AdapterFileError(f"{path}: {name}: {error}") from None
    return found, kept


def _alone(name: str, layer: Mapping[str, Tensor]) -> Shaped:
    """Of a layer whose change and shape its tensors say."""
    if is_plain_lora(layer):
        return svd_of_product(*plain_factors(layer)), shape_of(layer)
    if is_unrolled(name, layer):
        raise NeedsModel(f"{name}: the tensors do not show the kernel's size: give --model")
    return svd(change_alone(name, layer)[0]), shape_of(layer)


def is_plain_lora(layer: Mapping[str, Tensor]) -> bool:
    """Whether the change is up · down and nothing else."""
    return {UP, DOWN} <= layer.keys() <= {UP, DOWN, "alpha", BIAS} and MID not in layer


def plain_factors(layer: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(alpha/dim · up, down) as matrices in fp32."""
    up, down = layer[UP].float().flatten(1), layer[DOWN].float().flatten(1)
    if up.shape[1] != len(down):
        raise AdapterFileError(f"{UP} {tuple(up.shape)} and {DOWN} {tuple(down.shape)} have no "
                               "rank in common")  # fmt: skip
    return scale(layer, len(down)) * up, down


def _write(
    found: Mapping[str, Shaped], ranks: Mapping[str, int],
    kept: Mapping[str, Tensor], metadata: Mapping[str, str],
) -> tuple[bytes, int]:  # fmt: skip
    """The file, and how many layers it has; a layer of rank 0 is left out."""
    made = {
        f"{name}.{key}": value
        for name, (one, shape) in found.items()
        if ranks[name]
        for key, value in lora(one, shape, ranks[name]).items()
    }
    about = {key: text for key, text in metadata.items() if key not in ("ss_network_args",)}
    about |= {"ss_network_dim": str(max(ranks.values(), default=0)), "ss_network_alpha": "Dynamic"}
    return to_bytes({**made, **kept}, about), sum(rank > 0 for rank in ranks.values())


def _fit(
    found: Mapping[str, Shaped], kept: Mapping[str, Tensor], metadata: Mapping[str, str], most: int
) -> tuple[bytes, dict[str, int], int]:
    """The largest file of at most `most` bytes: what header and names take is learnt by trying."""
    costs = [HALF * (len(one.u) + one.vh.shape[1]) for one, _ in found.values()]
    values = [one.s for one, _ in found.values()]
    budget = most
    while budget > 0:
        ranks = dict(zip(found, within(values, costs, budget), strict=True))
        if not any(ranks.values()):
            break
        content, made = _write(found, ranks, kept, metadata)
        if len(content) <= most:
            return content, ranks, made
        budget -= max(len(content) - most, 1)
    least, _ = _write(found, dict.fromkeys(found, 0), kept, metadata)
    raise BenchError(
        f"--size is too small: a file of these layers takes more than {most:,} bytes "
        f"({len(least):,} without any); give more MiB"
    )
