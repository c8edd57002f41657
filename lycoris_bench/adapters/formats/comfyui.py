"""How a layer has to be said to ComfyUI (0.3.64), and what it drops or computes otherwise."""

import re
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.diag_oft import DIRECT, ON_INPUT
from lycoris_bench.adapters.algorithms.dora import MAGNITUDE
from lycoris_bench.adapters.algorithms.lokr import LoKr
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.adapters.formats.words import ADVICE, kind_of

ROTATIONS = ("diag-oft", "boft")
CAUTION = ("ComfyUI applies the strength of Diag-OFT and BOFT twice: the result is right there at "
           "strength 1 and 0 only (half of the change is missing at 0.5)")  # fmt: skip
# q, k, v (and Flux's MLP) are slices of one layer there
FUSED = re.compile(r".*attn2?\.(to_[qkv]|add_[qkv]_proj)|single_transformer_blocks\.\d+\.proj_mlp")


def said(name: str, tensors: Mapping[str, Tensor], path: str, beside: Collection[str] = ()) \
        -> Mapping[str, Tensor]:  # fmt: skip
    """The layer's tensors as ComfyUI reads them: LoKr's Tucker form, which it leaves out, as whole
    blocks. `beside` are the paths of the transformer that the layer lies in; none for others.

    Raises `AdapterFileError` for what it leaves out or computes otherwise without a word."""
    if reason := _reason(tensors, path, beside):
        raise AdapterFileError(f"ComfyUI {reason}, and {name} is one: {ADVICE}")
    return _whole(tensors) if "lokr_t2" in tensors else tensors


def _reason(tensors: Mapping[str, Tensor], path: str, beside: Collection[str]) -> str | None:
    kind = kind_of(tensors)
    if kind == "ia3":
        return "leaves (IA)³ out"
    if ON_INPUT in tensors or DIRECT in tensors:
        return f"knows no rotation {'of inputs' if ON_INPUT in tensors else 'by its own matrix'}"
    if kind in ROTATIONS and float(tensors.get("alpha", torch.tensor(0))):
        return "computes a constrained rotation otherwise"
    if kind == "diag-oft" and "rescale" in tensors:
        return "computes a rescaled Diag-OFT otherwise"
    if MAGNITUDE in tensors and tensors[MAGNITUDE].shape[0] != 1:
        return "computes a DoRA of outputs otherwise"
    if beside and "diff_b" in tensors and FUSED.fullmatch(path):
        return "loses the bias of a slice of a fused layer"
    if kind in (*ROTATIONS, "glora") and path in _swapped(beside):
        return f"computes {kind} otherwise where a layer's scale and shift are swapped"
    return None


def _swapped(beside: Collection[str]) -> set[str]:
    """Layers whose two halves the original models have the other way round."""
    if not beside:
        return set()
    blocks = [int(found[1]) for path in beside
              if (found := re.match(r"transformer_blocks\.(\d+)\.", path))]  # fmt: skip
    flux = any(path.startswith("single_transformer_blocks.") for path in beside)
    last = [] if flux or not blocks else [f"transformer_blocks.{max(blocks)}.norm1_context.linear"]
    return {"norm_out.linear", *last}


def _whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A LoKr of two whole blocks, which has no ratio: it goes into the second."""
    found = {key: value.double() for key, value in tensors.items()}
    outputs, inputs = found["lokr_w2_a"].shape[1], found["lokr_w2_b"].shape[1]
    kernel = found["lokr_t2"].shape[2:]
    one = found["lokr_w1"] if "lokr_w1" in found else found["lokr_w1_a"] @ found["lokr_w1_b"]
    unit = {**{key: value for key, value in found.items() if not key.startswith("lokr_w1")},
            "lokr_w1": torch.ones(1, 1, dtype=torch.float64)}  # fmt: skip
    unit.pop(MAGNITUDE, None)
    two = LoKr.delta_from(unit, torch.empty(outputs, inputs, *kernel, dtype=torch.float64))
    rest = {key: value for key, value in tensors.items() if key in (MAGNITUDE, "diff_b")}
    return {"lokr_w1": one, "lokr_w2": two, **rest}
