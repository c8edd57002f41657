"""Products of fp32 matrices on a CPU, by oneDNN where it rounds as little as BLAS does.

torch gives such products to MKL, which computes at half of oneDNN's speed on CPUs of other makers
than Intel. The switch between the two is the precision "medium", at which oneDNN may round to
bfloat16: on CPUs without units for bfloat16 matrices it does not, and a trial tells."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

ROUNDING = 1e-5  # relative; fp32 leaves 1e-7 and bfloat16 1e-3 on the products of the trial
TRIAL = ((64, 64, 64), (512, 48, 96), (32, 1024, 32))


@contextmanager
def by_onednn() -> Iterator[None]:
    """Within it torch's fp32 products on a CPU are oneDNN's."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@cache
def exact() -> bool:
    """Whether oneDNN's products of fp32 matrices are exact to fp32 on this CPU."""
    draw = torch.Generator().manual_seed(0)
    for rows, inner, columns in TRIAL:
        a = torch.rand(rows, inner, generator=draw)
        b = torch.rand(inner, columns, generator=draw)
        wanted = a.double() @ b.double()
        with by_onednn():
            found = [a @ b, torch.bmm(a[None], b[None])[0], torch.addmm(b[0] * 0, a, b)]
        if any(bool(((one - wanted).abs() > ROUNDING * wanted).any()) for one in found):
            return False
    return True
