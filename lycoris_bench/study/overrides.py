"""`--set key=value`: one key of a study file, written as TOML has it."""

import tomllib
from typing import Any

from lycoris_bench.messages.errors import BenchError

WORDS = {"True": True, "False": False}  # as Python has them


class OverrideError(BenchError):
    """An override that cannot be read or has no place: one sentence."""


def override(table: dict[str, Any], text: str) -> None:
    """Puts the value of `a.b=c` into the table, in place. A value that is no TOML is a string.

    >>> table = {"sampling": {"seed": 1}}
    >>> override(table, "sampling.seed=2"), override(table, "name=mine"), table
    (None, None, {'sampling': {'seed': 2}, 'name': 'mine'})
    """
    key, equals, value = text.partition("=")
    path = _path(key) if equals else []
    if not path:
        raise OverrideError(f"'{text}' is not of the form key=value or table.key=value")
    *parents, last = path
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise OverrideError(f"'{text}': '{parent}' is not a table")
    table[last] = _value(value)


def _path(key: str) -> list[str]:
    """The parts of a dotted key; none where it is no key."""
    found: Any = _toml(f"{key} = 0") if key.strip() else None
    path: list[str] = []
    while isinstance(found, dict):
        if len(found) != 1:
            return []
        ((part, found),) = found.items()
        path.append(part)
    return path if found == 0 else []


def _value(text: str) -> Any:
    found = _toml(f"value = {text}")
    if found is not None and found.keys() == {"value"}:
        return found["value"]
    return WORDS.get(text.strip(), text)


def _toml(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):  # ValueError: a number of too many digits, too
        return None
