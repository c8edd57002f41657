"""What an argument of a public function may be, and the sentence where it is something else.
Standard library only."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.printable import printable


@dataclass(frozen=True)
class Allowed:
    """Values that an argument may have: in words, and as a test."""

    words: str
    holds: Callable[[Any], bool]

    def check(self, name: str, value: Any) -> None:
        """BenchError: the value of the argument of this name is none of them.

        >>> COUNT.check("workers", 0)
        Traceback (most recent call last):
            ...
        lycoris_bench.messages.errors.BenchError: workers is 0; a whole number from 1 is allowed
        """
        if not self.holds(value):
            short = value is None or isinstance(value, str | Real | Path | list | tuple)
            shown = printable(repr(value), 80) if short else f"of type {type(value).__name__}"
            raise BenchError(f"{name} is {shown}; {self.words} is allowed")

    def or_none(self) -> "Allowed":
        """The same values, and None."""
        return Allowed(f"{self.words}, or None,", lambda value: value is None or self.holds(value))


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def _finite(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _names(value: Any) -> bool:
    listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return listed and all(isinstance(name, str) for name in value)


FINITE = Allowed("a finite number", _finite)
COUNT = Allowed("a whole number from 1", lambda value: _whole(value, 1))
SEED = Allowed(
    "a whole number from 0 to 2**64 - 1", lambda value: _whole(value, 0) and value < 2**64
)
SWITCH = Allowed("True or False", lambda value: isinstance(value, bool))
TEXT = Allowed("a text", lambda value: isinstance(value, str))
NAMES = Allowed("a list of names", _names)
PATH = Allowed("a path", lambda value: isinstance(value, str | Path))
TABLE = Allowed("a mapping from names", lambda value: (
    isinstance(value, Mapping) and all(isinstance(name, str) for name in value)
))  # fmt: skip
FUNCTION = Allowed("a function", callable)
