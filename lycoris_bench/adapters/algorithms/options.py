"""The values an option of an adapter may have, declared as data beside the algorithm."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.suggestions import unknown

LARGEST = 65504  # the largest half-precision number: files store alpha as one


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high` and those in `also`; None too if `optional`."""

    low: float
    high: float
    whole: bool = False
    optional: bool = False
    also: tuple[float, ...] = ()

    def __contains__(self, value: Any) -> bool:
        if value is None:
            return self.optional
        numeric = isinstance(value, int if self.whole else (int, float))
        inside = numeric and (self.low <= value <= self.high or value in self.also)
        return inside and not isinstance(value, bool)

    def __str__(self) -> str:
        number = "a whole number" if self.whole else "a number"
        also = "".join(f" or {value:g}" for value in self.also)
        return f"{number} from {self.low:g} to {self.high:g}{also}"


@dataclass(frozen=True)
class Switch:
    """True or False."""

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, bool)

    def __str__(self) -> str:
        return "true or false"


OptionTable = dict[str, Range | Switch]
RANK: OptionTable = {
    "dim": Range(1, LARGEST, whole=True),
    "alpha": Range(0, LARGEST, optional=True),
    "conv_dim": Range(0, LARGEST, whole=True, optional=True),
    "conv_alpha": Range(0, LARGEST, optional=True),
}
FACTORED: OptionTable = {**RANK, "use_scalar": Switch(), "rs_lora": Switch()}
DECOMPOSED: OptionTable = {"dora_wd": Switch(), "wd_on_output": Switch()}
LIMITS: OptionTable = {
    "dropout": Range(0, 0.99),
    "rank_dropout": Range(0, 0.99),
    "rank_dropout_scale": Switch(),
    "module_dropout": Range(0, 0.99),
    "max_norm": Range(1e-6, LARGEST, optional=True),
}


def check(allowed: Mapping[str, Range | Switch], options: Mapping[str, Any]) -> None:
    """Raises one `ValueError` that names every option that is unknown or out of range."""
    problems = [unknown("option", key, allowed) for key in options if key not in allowed]
    problems += [
        f"{key} is {value!r}; {allowed[key]} is allowed"
        for key, value in options.items()
        if key in allowed and value not in allowed[key]
    ]
    if problems:
        raise BenchError("; ".join(problems))
