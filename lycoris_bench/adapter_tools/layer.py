"""One layer of an adapter file by itself: what it needs, its shape, its ranks."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.lora import DOWN
from lycoris_bench.adapters.formats.adapter_file import recognise
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.adapters.formats.write import OF_WEIGHT
from lycoris_bench.messages.errors import BenchError

Tensors = Mapping[str, Tensor]
KERNEL = re.compile(r"conv(?!_shortcut)|(?:in|out)_layers|skip_connection|[_.]op$|_blocks_0_0$")


class NeedsModel(BenchError):
    """The change cannot be known without the base model's weights: one sentence."""


def algorithm(tensors: Tensors) -> str:
    """The algorithm's name; "unknown" where none has these tensors."""
    known = recognise(tensors)
    return known[0] if known else "unknown"


def needs_weight(tensors: Tensors) -> bool:
    """Whether ΔW depends on W: DoRA's norm, and what multiplies W."""
    return "dora_scale" in tensors or algorithm(tensors) in OF_WEIGHT


def shape_of(tensors: Tensors) -> torch.Size:
    """W's shape as far as the tensors tell: factors that are matrices by design (LoHa's, LoKr's)
    give that of the unrolled weight. `NeedsModel` where only W has it, `AdapterFileError` for
    factors that are missing or do not fit each other."""
    known = recognise(tensors)
    if known is None:
        raise AdapterFileError(f"no algorithm has the tensors {', '.join(tensors)}")
    try:
        shape = known[1].shape_from(tensors)
    except BenchError as error:
        raise AdapterFileError(str(error)) from None
    if shape is None:
        raise NeedsModel(f"a change by {known[0]} needs the base model: give --model")
    return shape


def is_unrolled(name: str, tensors: Tensors) -> bool:
    """Whether the layer seems to be a convolution whose kernel the tensors do not show."""
    kind = algorithm(tensors)
    matrix = kind in ("loha", "lokr") and len(shape_of(tensors)) == 2
    return matrix and KERNEL.search(name) is not None


def rank(tensors: Tensors) -> int | None:
    """The rank that alpha is divided by; None where there is none."""
    for name in (DOWN, "hada_w1_b", "lokr_w2_b", "lokr_w1_b"):
        if name in tensors:
            return tensors[name].shape[0]
    found = tensors.get("b2.weight")
    return None if found is None else min(found.shape[:2])


def alpha(tensors: Tensors) -> float | None:
    """The file's alpha as it stands."""
    return float(tensors["alpha"]) if "alpha" in tensors else None
