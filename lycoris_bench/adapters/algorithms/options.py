"""An algorithm's options: names, defaults and allowed values, declared once as a dataclass."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.printable import printable
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
        if self.whole and self.high == self.low + 1:
            return f"{self.low:g} or {self.high:g}"
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


@dataclass(frozen=True)
class Like:
    """Any value of the type of a default; any at all where that is None."""

    default: Any

    def __contains__(self, value: Any) -> bool:
        if self.default is None or isinstance(value, bool):
            return self.default is None
        if isinstance(self.default, float):
            return isinstance(value, int | float) and math.isfinite(value)
        return isinstance(value, type(self.default))

    def __str__(self) -> str:
        if self.default is None:
            return "any value"
        names = {int: "a whole number", float: "a number", str: "a text"}
        kind = type(self.default)
        return names.get(kind, f"a {kind.__name__}")


Allowed = Range | Switch | Like
OptionTable = dict[str, Allowed]
RANK, ALPHA = Range(1, LARGEST, whole=True), Range(0, LARGEST, optional=True)
FLAG = Range(0, 1, whole=True)


def option(default: Any, allowed: Allowed) -> Any:
    """A field of an `Options` dataclass. One with a plain default, as in any dataclass, may have
    any value of its default's type."""
    return field(default=default, metadata={"allowed": allowed})


def switch() -> Any:
    """A field that is off unless it is given."""
    return option(False, Switch())


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """The options of an algorithm without options of its own."""


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A rank and the ratio alpha/dim; the conv_ values are those of kernels larger than 1x1."""

    dim: int = option(8, RANK)
    alpha: float | None = option(4, ALPHA)
    conv_dim: int | None = option(None, Range(0, LARGEST, whole=True, optional=True))
    conv_alpha: float | None = option(None, ALPHA)


@dataclass(frozen=True, kw_only=True)
class Factored(Ranked):
    """With rs_lora the ratio is alpha/√dim; use_scalar trains one more factor, which is folded
    into a tensor when a file is written."""

    rs_lora: bool = switch()
    use_scalar: bool = switch()


@dataclass(frozen=True, kw_only=True)
class Tucker:
    """Kernels larger than 1x1 are a core between two matrices."""

    use_tucker: bool = switch()


@dataclass(frozen=True, kw_only=True)
class Decomposed:
    """Trains magnitude and direction separately, with a magnitude for each input or output."""

    dora_wd: bool = switch()
    wd_on_output: bool = switch()


LIMITS: OptionTable = {
    "dropout": Range(0, 0.99),
    "rank_dropout": Range(0, 0.99),
    "rank_dropout_scale": Switch(),
    "module_dropout": Range(0, 0.99),
    "max_norm": Range(1e-6, LARGEST, optional=True),
}


def table(options: Any) -> OptionTable:
    """What the fields of an `Options` dataclass may be. BenchError: one has no default."""
    return {field.name: _allowed(options, field) for field in fields(options)}


def _allowed(options: Any, field: "Field[Any]") -> Allowed:
    if field.default is MISSING:
        raise BenchError(f"option '{field.name}' of {options.__qualname__} has no plain default; "
                         f"write '{field.name}: type = default'")  # fmt: skip
    plain = Switch() if isinstance(field.default, bool) else Like(field.default)
    declared: Allowed = field.metadata.get("allowed", plain)
    return declared


def check(allowed: Mapping[str, Allowed], options: Mapping[str, Any]) -> None:
    """BenchError: names every option that is unknown or out of range."""
    problems = [unknown("option", key, allowed) for key in options if key not in allowed]
    problems += [
        f"{key} is {value!r}; {allowed[key]} is allowed"
        for key, value in options.items()
        if key in allowed and value not in allowed[key]
    ]
    if problems:
        raise BenchError("; ".join(problems))


def number(where: str, name: str, value: Any) -> float:
    """A number of a configuration that another program wrote; `BenchError` where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 3e38:
        raise BenchError(f"{where}: {name} is {printable(repr(value), 60)}; a number is allowed")
    return float(value)
