"""Chooses the dtype that a result is stored in: the shortest whose rounding is small enough."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from lycoris_bench.adapter_tools.layer import kind, needs_model, shape_of
from lycoris_bench.adapter_tools.products import distance, factors_of
from lycoris_bench.adapters.algorithms.factors import length
from lycoris_bench.adapters.delta import changes
from lycoris_bench.adapters.formats.adapter_file import by_layer, is_exact
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError

Tensors = Mapping[str, Tensor]
FP8 = {dtype for name, dtype in vars(torch).items() if name.startswith("float8")}
HALF = 5e-4  # relative error of a change from rounding its factors to half precision
SINGLE = 2e-7
SHARE = 0.01  # of the error of the approximation itself: rounding may add so much


def kept(name: str, tensors: Tensors) -> dict[str, Tensor]:
    """One layer's tensors bit by bit; float8 becomes fp16 and fp64 fp32, which every reader takes.

    Raises `AdapterFileError` for a number that is not finite, or too large for fp32."""
    unused = kind(tensors).unused(tensors)  # which may be infinite
    kept_tensors = {
        key: value.half() if value.dtype in FP8 else
        value.float() if value.dtype == torch.float64 else value
        for key, value in tensors.items()
        if not (key in unused and not bool(torch.isfinite(value.float()).all()))
    }  # fmt: skip
    for key, value in kept_tensors.items():
        check(f"{name}.{key}", tensors[key], value.dtype)
    return kept_tensors


def stored(
    name: str, computed: Tensors, like: Iterable[Tensor], lost: float = 0.0
) -> dict[str, Tensor]:
    """One layer's computed tensors in the dtype of the file.

    `like` are the source's tensors: a result of half-precision tensors may be rounded to 5e-4 of
    the change, any other only to fp32. `lost` is the relative error of the approximation.
    AdapterFileError: a value is beyond the range of fp32."""
    computed = {
        k: v if v.is_floating_point() or not v.dim() else v.double() for k, v in computed.items()
    }
    sources = {value.dtype for value in like if value.is_floating_point() and value.dim()}
    coarse = sources <= {torch.float16, *FP8}
    allowed = max(HALF if coarse else SINGLE, SHARE * lost)
    narrow = [torch.bfloat16] if torch.bfloat16 in sources else []
    for dtype in (*narrow, torch.float16):
        rounded = {key: cast(key, value, dtype) for key, value in computed.items()}
        finite = all(bool(torch.isfinite(value).all()) for value in rounded.values())
        if finite and _difference(rounded, computed) <= allowed:
            return rounded
    for key, value in computed.items():
        check(f"{name}.{key}", value, torch.float32)
    return {key: cast(key, value, torch.float32) for key, value in computed.items()}


def cast(key: str, value: Tensor, dtype: torch.dtype) -> Tensor:
    """The tensor in this dtype; magnitudes and inexact scalars, which would change the whole
    layer, in fp32."""
    if not value.is_floating_point():
        return value
    short = value.to(dtype)
    exact = value.dim() > 0 or bool(short.to(value.dtype) == value)
    return value.float() if is_exact(key) or not exact else short


def check(name: str, value: Tensor, dtype: torch.dtype) -> None:
    """Raises `AdapterFileError` where a number is not finite or beyond the dtype's range."""
    if not value.is_floating_point() or not value.numel():
        return
    least, most = (value if value.element_size() > 1 else value.float()).aminmax()  # NaN stays
    largest = max(-float(least), float(most))
    limit = torch.finfo(dtype).max
    if not largest <= limit:  # NaN is not
        kind = str(dtype).removeprefix("torch.")
        raise AdapterFileError(f"{name}: its largest number is {largest:.3g}, and {kind} holds "
                               f"finite numbers up to {limit:.3g}; nothing is written")  # fmt: skip


def _difference(rounded: Tensors, computed: Tensors) -> float:
    """|ΔW of the rounded tensors - ΔW| / |ΔW|, or the same of the bias where that is more."""
    short, whole = (by_layer({f"x.{key}": value for key, value in tensors.items()})["x"]
                    for tensors in (rounded, computed))  # fmt: skip
    product, nearby = factors_of(whole), factors_of(short)
    if product is not None and nearby is not None:
        size, missed = length(product), distance(product, nearby)
        return missed / size if size else float(missed > 0)
    if needs_model(whole):
        return math.inf  # rounding could do anything
    zero = torch.zeros(shape_of(whole))
    first, second = (changes(x, zero, torch.float64) for x in (short, whole))
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    worst = 0.0
    for written, exact in pairs:
        size = float(torch.linalg.vector_norm(exact.double()))
        missed = float(torch.linalg.vector_norm(written.double() - exact.double()))
        worst = max(worst, missed / size if size else float(missed > 0))
    return worst
