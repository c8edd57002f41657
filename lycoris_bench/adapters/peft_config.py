"""What a PEFT configuration says that its tensors do not: ratios, and how rotations are packed."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lycoris_bench.adapters.errors import AdapterFileError
from lycoris_bench.adapters.names import DENOISERS, TEXTS

FOLDER = "adapter_config"  # of a folder: our name for its configuration among the metadata
DIFFUSERS = "lora_adapter_metadata"  # of a file: diffusers' name for the same
WRAPPED = "base_model.model."


def configurations(metadata: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Model kind ("" where none is named) -> its PEFT configuration.

    Raises `AdapterFileError` for a configuration that is no JSON object."""
    found: dict[str, dict[str, Any]] = {}
    for source in (FOLDER, DIFFUSERS):
        if source not in metadata:
            continue
        try:
            flat = dict(json.loads(metadata[source]))
        except (TypeError, ValueError):
            raise AdapterFileError(f"the metadata '{source}' is not a JSON object") from None
        for key, value in flat.items():
            model, dot, rest = key.partition(".")
            known = bool(dot) and model in (*DENOISERS, *TEXTS)
            found.setdefault(model if known else "", {})[rest if known else key] = value
    return found


def of_layer(
    layer: str, configs: Mapping[str, Mapping[str, Any]]
) -> tuple[str, Mapping[str, Any] | None]:
    """(a dotted layer's path in its model, the configuration that it falls under or None)."""
    model, _, rest = layer.partition(".")
    if model not in (*DENOISERS, *TEXTS):
        return layer.removeprefix(WRAPPED), configs.get("")
    return rest.removeprefix(WRAPPED), configs.get(model, configs.get(""))


def ratio(path: str, config: Mapping[str, Any]) -> tuple[float, int] | None:
    """(alpha, rank) of a layer; the alpha is the one that a reader divides by the rank."""
    alpha = _pattern(
        config.get("alpha_pattern"), path, config.get("lora_alpha", config.get("alpha"))
    )
    rank = _pattern(config.get("rank_pattern"), path, config.get("r"))
    if not isinstance(alpha, int | float) or not isinstance(rank, int) or rank < 1:
        return None
    return (alpha * math.sqrt(rank) if config.get("use_rslora") else float(alpha)), rank


def _pattern(table: Any, path: str, otherwise: Any) -> Any:
    """The first pattern's value that matches the end of the path, as PEFT looks it up."""
    for pattern, value in (table or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", path):
            return value
    return otherwise


def rotations(layer: str, packed: Tensor, config: Mapping[str, Any]) -> Tensor:
    """R (n, b, b) of PEFT's OFT from the upper triangles (n, b(b-1)/2) that its files hold.

    R = (I - Q)(I + Q)⁻¹ with Q skew, or the first terms of the series of (I + Q)(I - Q)⁻¹, which
    is PEFT's default; so R is not quite a rotation, and only R itself says what was trained."""
    if packed.dim() != 2:
        raise AdapterFileError(f"{layer}: 'oft_R.weight' has the shape {tuple(packed.shape)}; "
                               "two sizes are allowed: blocks, numbers of a block")  # fmt: skip
    blocks, numbers = packed.shape
    size = (1 + math.isqrt(1 + 8 * numbers)) // 2
    if size * (size - 1) // 2 != numbers:
        raise AdapterFileError(f"{layer}: {numbers} numbers are no block of PEFT's OFT")
    if config.get("block_share"):
        raise AdapterFileError(f"{layer}: an OFT whose blocks are shared is not read; "
                               "merge it with PEFT")  # fmt: skip
    skew = packed.new_zeros(blocks, size, size, dtype=torch.float32)
    rows, columns = torch.triu_indices(size, size, 1)
    skew[:, rows, columns] = packed.float()
    skew = skew - skew.mT
    if config.get("coft"):
        skew = _bounded(skew, config.get("eps", 6e-5) / math.sqrt(blocks))
    one = torch.eye(size).expand_as(skew)
    if not config.get("use_cayley_neumann", True):
        return torch.linalg.solve(one + skew, one - skew, left=False)
    total, power = one.clone(), one
    terms = config.get("num_cayley_neumann_terms", 5)
    for term in range(1, terms):
        power = power @ skew
        # PEFT's series counts its last term once where it has more than two
        total += power * (1 if term == terms - 1 > 1 else 2)
    return total


def _bounded(skew: Tensor, limit: float) -> Tensor:
    norm = torch.linalg.vector_norm(skew, dim=(1, 2), keepdim=True)
    return torch.where(norm <= limit, skew, skew * (limit / norm))
