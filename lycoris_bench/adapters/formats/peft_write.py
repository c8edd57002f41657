"""Writing PEFT's folders: one configuration and one file for each model that is adapted."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor

from lycoris_bench.adapters.algorithms.dora import MAGNITUDE
from lycoris_bench.adapters.algorithms.factors import factorization
from lycoris_bench.adapters.algorithms.lora import DOWN, UP
from lycoris_bench.adapters.formats.adapter_file import by_layer
from lycoris_bench.adapters.formats.layer_names import Directory
from lycoris_bench.adapters.formats.peft_read import CONFIG, WEIGHTS
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.adapters.formats.words import ADVICE, kind_of, what
from lycoris_bench.adapters.formats.write import PLAIN, place_of

Layers = Mapping[str, Mapping[str, Tensor]]  # dotted path -> tensors


class Part(NamedTuple):
    """What a folder holds: adapter_config.json and adapter_model.safetensors."""

    config: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def text(self) -> str:
        """The configuration's file."""
        return json.dumps(self.config, indent=2, sort_keys=True) + "\n"


def parts(tensors: Mapping[str, Tensor], directory: Directory) -> dict[str, Part]:
    """Model kind -> its PEFT folder: plain LoRA (DoRA of outputs too), LoHa or LoKr.

    Raises `AdapterFileError`, which names what PEFT cannot say."""
    models: dict[str, dict[str, dict[str, Tensor]]] = defaultdict(dict)
    for name, own in by_layer(tensors).items():
        model, path = place_of(name, directory)
        models[model][path] = own
    return {model: _part(model, layers) for model, layers in models.items()}


def _part(model: str, layers: Layers) -> Part:
    writers = {"lora": _lora, "loha": _loha, "lokr": _lokr}
    kinds = {path: kind_of(own) for path, own in layers.items()}
    strangers = [path for path, kind in kinds.items() if kind not in writers]
    if strangers or len(set(kinds.values())) > 1:
        path = next(iter(strangers or kinds))
        raise AdapterFileError(
            f"a PEFT folder holds LoRA, LoHa or LoKr, one of them alone, and {model} has "
            f"{', '.join(sorted(set(kinds.values())))}; {path} is {what(layers[path])}: {ADVICE}"
        )
    for path, own in layers.items():
        if "diff_b" in own:
            raise AdapterFileError(f"PEFT has no change of a bias, and {path} has one: {ADVICE}")
    (kind,) = set(kinds.values())
    config, tensors = writers[kind](layers)
    # an expression, as a list's names would fit the ends of other paths too
    config["target_modules"] = "|".join(re.escape(path) for path in layers)
    return Part({"peft_type": kind.upper(), "inference_mode": True, **config}, tensors)


def _lora(layers: Layers) -> tuple[dict[str, Any], dict[str, Tensor]]:
    found: dict[str, Tensor] = {}
    ranks, alphas = {}, {}
    decomposed = [path for path, own in layers.items() if MAGNITUDE in own]
    for path, own in layers.items():
        if own.keys() - PLAIN - {MAGNITUDE} or (MAGNITUDE in own) != bool(decomposed):
            raise AdapterFileError(f"PEFT's LoRA has no such form, and {path} is {what(own)}: "
                                   f"{ADVICE}")  # fmt: skip
        down, up = own[DOWN], own[UP]
        ranks[path], alphas[path] = len(down), _alpha(own, len(down))
        found[f"base_model.model.{path}.lora_A.weight"] = down
        found[f"base_model.model.{path}.lora_B.weight"] = up.reshape(
            *up.shape[:2], *(1 for _ in down.shape[2:])
        )
        if MAGNITUDE in own:
            found[f"base_model.model.{path}.lora_magnitude_vector"] = _magnitude(path, own)
    config = _ratios(ranks, alphas, "lora_alpha")
    return {**config, "use_dora": bool(decomposed), "bias": "none"}, found


def _magnitude(path: str, own: Mapping[str, Tensor]) -> Tensor:
    size, outputs = own[MAGNITUDE], len(own[UP])
    if size.shape[0] != outputs or size.numel() != outputs:
        raise AdapterFileError(f"PEFT's DoRA is of outputs, and that of {path} is of inputs: "
                               f"{ADVICE}")  # fmt: skip
    kernel = [1 for _ in own[DOWN].shape[2:]]
    return size.reshape(1, -1, *kernel) if kernel else size.reshape(-1)


def _loha(layers: Layers) -> tuple[dict[str, Any], dict[str, Tensor]]:
    ranks = {path: len(own["hada_w1_b"]) for path, own in layers.items()}
    return _lycoris(layers, ranks, "hada_t1")


def _lokr(layers: Layers) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Also the factor, which PEFT works its blocks' sizes out by."""
    sizes = {path: _sizes(own) for path, own in layers.items()}
    largest = max(size for (u, _), (ui, _) in sizes.values() for size in (u, ui))
    pairs = [pair for layer in sizes.values() for pair in layer]
    factor = next((f for f in (-1, *range(1, largest + 1)) if all(
        _split(u * v, f) == (u, v) for u, v in pairs)), None)  # fmt: skip
    both = any("lokr_w1_a" in own for own in layers.values())
    ranks = {path: _rank(own, sizes[path], both) for path, own in layers.items()}
    if factor is None or None in ranks.values():
        path = next((p for p, rank in ranks.items() if rank is None), next(iter(layers)))
        raise AdapterFileError(
            f"PEFT's LoKr has no factor and rank that give the blocks of {path}: {ADVICE}"
        )
    config, tensors = _lycoris(layers, ranks, "lokr_t2")  # type: ignore[arg-type]
    return {**config, "decompose_both": both, "decompose_factor": factor}, tensors


def _split(n: int, factor: int) -> tuple[int, int]:
    """As LyCORIS splits, but a factor that divides n comes first even where it is the larger."""
    exact = factor > 0 and n % factor == 0
    return (factor, n // factor) if exact else factorization(n, factor)


def _sizes(own: Mapping[str, Tensor]) -> tuple[tuple[int, int], tuple[int, int]]:
    """((u, v), (u', v')): how the blocks split outputs and inputs."""
    u, ui = _block(own, "lokr_w1")
    v, vi = _block(own, "lokr_w2")
    return (u, v), (ui, vi)


def _block(own: Mapping[str, Tensor], name: str) -> tuple[int, int]:
    if name in own:
        return own[name].shape[0], own[name].shape[1]
    a, b = own[f"{name}_a"], own[f"{name}_b"]
    return (a.shape[1] if "lokr_t2" in own and name == "lokr_w2" else a.shape[0]), b.shape[1]


def _rank(
    own: Mapping[str, Tensor], sizes: tuple[tuple[int, int], tuple[int, int]], both: bool
) -> int | None:
    """A rank at which PEFT decomposes just the blocks that are; None where there is none."""
    (u, v), (ui, vi) = sizes
    least = [-(-max(pair) // 2) for pair, name in (((u, ui), "lokr_w1"), ((v, vi), "lokr_w2"))
             if name in own and (both or name == "lokr_w2")]  # fmt: skip
    given = [len(own[name]) for name in ("lokr_w1_b", "lokr_w2_b") if name in own]
    rank = given[0] if given else max(least, default=1)
    whole = {"lokr_w1": not (both and rank < max(u, ui) / 2), "lokr_w2": rank >= max(v, vi) / 2}
    fits = all((name in own) == is_whole for name, is_whole in whole.items())
    return rank if fits and len(set(given)) < 2 else None


def _lycoris(
    layers: Layers, ranks: Mapping[str, int], core: str
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """LoHa and LoKr: LyCORIS's own tensors, with what PEFT derives their shapes from."""
    for path, own in layers.items():
        if MAGNITUDE in own:
            raise AdapterFileError(f"PEFT has no DoRA but over LoRA, and {path} is {what(own)}: "
                                   f"{ADVICE}")  # fmt: skip
    alphas = {}
    for path, own in layers.items():
        whole = "lokr_w1" in own and "lokr_w2" in own  # elsewhere at a ratio of 1, in PEFT not
        alphas[path] = float(ranks[path]) if whole else _alpha(own, ranks[path])
    tucker = any(core in own for own in layers.values())
    tensors = {
        f"base_model.model.{path}.{key}": value
        for path, own in layers.items()
        for key, value in own.items()
        if key != "alpha"
    }
    return {**_ratios(ranks, alphas, "alpha"), "use_effective_conv2d": tucker}, tensors


def _alpha(own: Mapping[str, Tensor], rank: int) -> float:
    return float(own.get("alpha", torch.tensor(0.0))) or float(rank)


def _ratios(ranks: Mapping[str, int], alphas: Mapping[str, float], alpha: str) -> dict[str, Any]:
    """r and alpha that most layers have, and all of them as patterns where some differ.

    PEFT takes the first pattern that fits a path's end, so longer paths stand first."""
    config: dict[str, Any] = {}
    for key, pattern, values in (("r", "rank_pattern", ranks), (alpha, "alpha_pattern", alphas)):
        config[key] = Counter(values.values()).most_common(1)[0][0]
        differ = len(set(values.values())) > 1
        longest = sorted(values, key=len, reverse=True)
        config[pattern] = {re.escape(path): values[path] for path in longest} if differ else {}
    return config


def files_of(parts: Mapping[str, Part]) -> dict[str, bytes]:
    """Relative path -> content: a folder for each model kind, as `peft_folder.read` has it."""
    found: dict[str, bytes] = {}
    for model, part in parts.items():
        # of layers that share a factor, each has its own
        apart = {key: value.clone() for key, value in part.tensors.items()}
        found[f"{model}/{WEIGHTS}"] = save(apart, {"format": "pt"})
        found[f"{model}/{CONFIG}"] = part.text.encode()
    return found
