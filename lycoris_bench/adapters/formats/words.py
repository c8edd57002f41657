"""What a layer of a file is, in words."""

from collections.abc import Mapping

from torch import Tensor

from lycoris_bench.adapters.algorithms.dora import MAGNITUDE
from lycoris_bench.adapters.algorithms.lora import MID
from lycoris_bench.adapters.formats.adapter_file import recognise

ADVICE = "convert to portable, which makes plain LoRA of what it can and names the rest"


def what(tensors: Mapping[str, Tensor]) -> str:
    """One layer's algorithm: "LoKr", "LoRA with dora_scale", ..."""
    known = recognise(tensors)
    if known is None:
        return f"of no known algorithm ({', '.join(sorted(tensors))})"
    extras = [name for name in (MID, "lokr_t2", "hada_t1", MAGNITUDE, "diff_b") if name in tensors]
    return f"{known[1].__name__}{' with ' + ' and '.join(extras) if extras else ''}"


def kind_of(tensors: Mapping[str, Tensor]) -> str:
    """The algorithm's name; "unknown" where none has these tensors."""
    known = recognise(tensors)
    return known[0] if known else "unknown"
