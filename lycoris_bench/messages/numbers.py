"""Numbers as a person writes them: no exponents, no minus before a zero. Standard library only."""

import math
from collections.abc import Sequence
from typing import Any

ABSENT = "–"
BYTES, PARAMETERS = ("B", "KiB", "MiB", "GiB", "TiB"), ("", "k", "M", "G")


def number(value: Any, unit: str = "") -> str:
    """A value as a person writes it; what is absent is a dash.

    >>> number(0.71), number(123.4), number(999.96), number(12_000), number(-0.0), number(None)
    ('0.710', '123', '1,000', '12,000', '0', '–')
    >>> number(1234567, "parameters"), number(0.0005, "lr"), number(1e-6, "lr")
    ('1.23 M', '0.0005', '1e-06')
    >>> number(200.0, "seconds"), number(9.2 * 2**20, "size"), number(1000 * 2**20, "peak_memory")
    ('3 min 20 s', '9.2 MiB', '1,000 MiB')
    """
    if isinstance(value, str | bool):
        return str(value)
    if absent(value):
        return ABSENT
    value = float(value)
    if unit == "seconds":
        return duration(value)
    if unit in ("size", "peak_memory"):
        return scaled(value, 1024, BYTES)
    if unit == "parameters" and value >= 1e4:
        return scaled(value, 1000, PARAMETERS)
    if value.is_integer() and abs(value) < 1e15:
        return f"{value + 0.0:,.0f}"
    return significant(value, short=unit == "lr")


def significant(value: float, digits: int = 3, *, short: bool = False) -> str:
    """Rounded to significant digits; an exponent only below 0.0001 and from 1e15.

    >>> significant(0.71), significant(0.71, short=True), significant(99.96), significant(3.2e-8)
    ('0.710', '0.71', '100', '3.2e-08')
    """
    if not 1e-4 <= abs(value) < 1e15:
        return f"{value + 0.0:.{digits}g}"
    power = int(f"{value:.{digits - 1}e}".split("e")[1])  # after rounding: 999.6 has the power 3
    text = f"{value:,.{max(digits - 1 - power, 0)}f}"
    return text.rstrip("0").rstrip(".") if short and "." in text else text


def fixed(value: Any, digits: int = 2, *, signed: bool = False) -> str:
    """With so many decimals; a zero has no sign.

    >>> fixed(-0.001), fixed(-0.09), fixed(0.25, signed=True), fixed(-0.001, signed=True)
    ('0.00', '-0.09', '+0.25', '0.00')
    """
    if absent(value):
        return ABSENT
    text = f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"
    return text if float(text.replace(",", "")) else text.lstrip("+-")


def percent(value: float) -> str:
    """
    >>> percent(0.426), percent(-0.001)
    ('43%', '0%')
    """
    return f"{fixed(100 * value, 0)}%"


def duration(seconds: float) -> str:
    """
    >>> duration(12.34), duration(59.7), duration(7500), duration(1e-5)
    ('12.3 s', '1 min 00 s', '2 h 05 min', 'below 1 ms')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes:02d} min"
    if minutes:
        return f"{minutes} min {rest:02d} s"
    return "below 1 ms" if 0 < seconds < 1e-3 else f"{significant(seconds, short=True)} s"


def rough_duration(seconds: float) -> str:
    """Rounded, in the largest unit of which there are at least two; hours up to 1 000.

    >>> [rough_duration(seconds) for seconds in (90, 7300, 9e5, 9e6)]
    ['90 s', '2 h', '250 h', '104 days']
    """
    for unit, size, least in (("days", 86400, 41.67), ("h", 3600, 2), ("min", 60, 2)):
        if seconds >= least * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.0f} s"


def plural(count: int, one: str, several: str = "") -> str:
    """How many there are of what: `one` of a single thing, else `several`, with an s where it is
    not given; either may hold the verb.

    >>> plural(1, "concept"), plural(1200, "image"), plural(2, "class", "classes")
    ('1 concept', '1,200 images', '2 classes')
    >>> plural(1, "image is damaged", "images are damaged")
    '1 image is damaged'
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def scaled(value: float, step: int, units: Sequence[str]) -> str:
    """In the first unit of which there are fewer than a step to the next.

    >>> scaled(0, 1024, BYTES), scaled(1005 * 2**20, 1024, BYTES), scaled(999_600, 1000, PARAMETERS)
    ('0 B', '1,005 MiB', '1 M')
    """
    power = 0
    while value >= step - 0.5 and power < len(units) - 1:
        value, power = value / step, power + 1
    text = f"{value:,.0f}" if value >= 999.5 else significant(value, short=True)
    return f"{text} {units[power]}".rstrip()


def absent(value: Any) -> bool:
    """None, NaN, or what pandas puts in their place."""
    return value is None or type(value).__name__ == "NAType" or math.isnan(value)


def size(value: float) -> str:
    """Bytes, in MiB, GB or TB.

    >>> size(3 * 2**20), size(47e9)
    ('3 MiB', '47.0 GB')
    """
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value / 2**20:,.0f} MiB"
