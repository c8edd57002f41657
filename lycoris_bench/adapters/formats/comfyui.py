"""Writes a layer for ComfyUI (0.3.64), and refuses what ComfyUI drops or computes otherwise."""

import re
from collections.abc import Collection, Mapping

from torch import Tensor

from lycoris_bench.adapters.algorithms.base import BIAS
from lycoris_bench.adapters.algorithms.recognise import recognise
from lycoris_bench.adapters.formats.safetensors_io import TO_PORTABLE, AdapterFileError

# q, k, v (and Flux's MLP) are slices of one layer there
FUSED = re.compile(r".*attn2?\.(to_[qkv]|add_[qkv]_proj)|single_transformer_blocks\.\d+\.proj_mlp")


def readable(
    name: str, tensors: Mapping[str, Tensor], path: str, paths: Collection[str] = ()
) -> Mapping[str, Tensor]:
    """The layer's tensors in a form that ComfyUI reads (`Knowledge.for_comfyui`). `paths` are all
    layer paths of the model if it is a transformer, else empty.

    Raises `AdapterFileError` for what ComfyUI silently leaves out or computes otherwise."""
    recognised = recognise(tensors)
    reason = "knows no such tensors"
    if recognised is not None:
        reason = recognised[1].comfyui_refuses(tensors, swapped=path in _swapped(paths)) or ""
    if not reason and paths and BIAS in tensors and FUSED.fullmatch(path):
        reason = "loses the bias of a slice of a fused layer"
    if recognised is None or reason:
        raise AdapterFileError(f"ComfyUI {reason}, and {name} is one: {TO_PORTABLE}")
    return recognised[1].for_comfyui(tensors)


def _swapped(paths: Collection[str]) -> set[str]:
    """The layers whose two halves, scale and shift, stand in the opposite order in the original
    models."""
    if not paths:
        return set()
    blocks = [int(match[1]) for path in paths
              if (match := re.match(r"transformer_blocks\.(\d+)\.", path))]  # fmt: skip
    flux = any(path.startswith("single_transformer_blocks.") for path in paths)
    last = [] if flux or not blocks else [f"transformer_blocks.{max(blocks)}.norm1_context.linear"]
    return {"norm_out.linear", *last}
