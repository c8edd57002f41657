"""|ΔW| of one layer in float64, computed from its factors where it has any."""

import torch
from torch import Tensor

from lycoris_bench.adapter_tools.layer import Tensors, kind, shape_of
from lycoris_bench.adapters.algorithms.factors import in_float64, norm
from lycoris_bench.adapters.delta import changes
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError

LARGEST = torch.finfo(torch.float32).max


@torch.no_grad()
def length_alone(tensors: Tensors) -> float:
    """|ΔW| of a layer whose change does not depend on W.

    AdapterFileError: the change is beyond the range of fp32, in which readers compute."""
    exact = in_float64(tensors)
    size = kind(exact).length(exact)
    if size is None:
        size = norm(_made(exact))
    if not abs(size) <= LARGEST:  # a length beyond fp32 may be one of smaller numbers
        refuse_beyond_fp32(_made(exact))
    return abs(size)


def _made(tensors: Tensors) -> Tensor:
    return changes(tensors, torch.zeros(shape_of(tensors)), torch.float64)[0]


def refuse_beyond_fp32(change: Tensor) -> None:
    """AdapterFileError: a value is NaN or beyond the range of fp32."""
    largest = float(change.abs().max())
    if not largest <= LARGEST:  # NaN is not
        raise AdapterFileError(f"the largest number of its change is {largest:.3g}, and float32, "
                               f"which readers compute in, holds up to {LARGEST:.3g}")  # fmt: skip
