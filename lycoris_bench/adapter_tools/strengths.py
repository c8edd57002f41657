"""How much of each file: the numbers of --strength and --weight."""

from collections.abc import Sequence

from lycoris_bench.adapters.algorithms.options import LARGEST, Range
from lycoris_bench.messages.errors import BenchError

ALLOWED = Range(-LARGEST, LARGEST)


def check(name: str, values: Sequence[float]) -> list[float]:
    """The values. `BenchError` names an option whose number is not finite or out of range.

    >>> check("--weight", [0.5])
    [0.5]
    """
    for value in values:
        if value not in ALLOWED:  # NaN is in no range
            raise BenchError(f"{name} is {value:g}; {ALLOWED} is allowed, such as 0.8")
    return list(values)
