"""Checks a layer's tensors before use: shapes, dtypes and finite values."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.base import BIAS, Adapter
from lycoris_bench.adapters.algorithms.options import Range
from lycoris_bench.adapters.formats.layer_names import claims
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.messages.errors import BenchError


def check(layer: str, kind: type[Adapter], tensors: Mapping[str, Tensor]) -> None:
    """Raises `AdapterFileError`, which names the layer and the tensor, for one that is missing,
    holds no number or one that is not finite, is of another dtype, or does not fit the others."""
    ignored = kind.unused(tensors)
    for name, value in tensors.items():
        if name not in ignored and (reason := _fault(value, kind.integers.get(name))):
            raise AdapterFileError(f"'{layer}.{name}' {reason}")
    shape(layer, kind, tensors)


def shape(layer: str, kind: type[Adapter], tensors: Mapping[str, Tensor]) -> torch.Size | None:
    """W's shape as far as the tensors tell (`Knowledge.weight_shape`). Reads no number. Raises
    `AdapterFileError` where the tensors, the bias update among them, do not fit each other."""
    for name, value in tensors.items():
        if not value.numel():
            raise AdapterFileError(f"'{layer}.{name}' has the shape {tuple(value.shape)}, which "
                                   "holds no number")  # fmt: skip
    try:
        shape_of_weight = kind.weight_shape(tensors)
        if shape_of_weight is not None:
            _bias_fits(tensors, shape_of_weight)
    except BenchError as error:
        raise AdapterFileError(f"{layer}: {error}") from None
    return shape_of_weight


def _fault(value: Tensor, whole: Range | None) -> str | None:
    """The fault of a tensor, or None; `whole` is the range of a tensor that holds a whole number,
    None for all others."""
    if whole is not None and value.numel() == 1 and not value.is_complex():
        number = float(value)
        allowed = number.is_integer() and int(number) in whole
        return None if allowed else f"is {number:g}; {whole} is allowed"
    if whole is None and not value.is_floating_point():
        dtype = str(value.dtype).removeprefix("torch.")
        return f"is of {dtype}; floating-point numbers are allowed"
    if not bool(torch.isfinite(value if value.element_size() > 1 else value.float()).all()):
        return "holds NaN or an infinity"
    return None


def _bias_fits(tensors: Mapping[str, Tensor], shape: torch.Size) -> None:
    if BIAS in tensors and tensors[BIAS].shape != shape[:1]:
        raise BenchError(f"{BIAS} of shape {tuple(tensors[BIAS].shape)} does not fit "
                         f"{shape[0]} outputs")  # fmt: skip


def refuse_doubles(layers: Iterable[str]) -> None:
    """Raises `AdapterFileError` for a layer under two spellings, of which both would be applied."""
    claimed: dict[tuple[str, str], str] = defaultdict(str)
    for layer in layers:
        for place in claims(layer):
            if other := claimed[place]:
                raise AdapterFileError(f"one layer is there under two names, '{other}' and "
                                       f"'{layer}'")  # fmt: skip
            claimed[place] = layer
