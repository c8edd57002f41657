"""Checks the numbers given to --strength and --weight."""

from collections.abc import Sequence

from lycoris_bench.adapters.algorithms.options import LARGEST, Range
from lycoris_bench.messages.errors import BenchError

ALLOWED = Range(-LARGEST, LARGEST)


def check(name: str, values: Sequence[float]) -> list[float]:
    """The values. BenchError: one is not finite or out of range; the option is named.

    >>> check("--weight", [0.5])
    [0.5]
    """
    for value in values:
        if value not in ALLOWED:  # NaN is in no range
            raise BenchError(f"{name} is {value:g}; {ALLOWED} is allowed, such as 0.8")
    return list(values)
