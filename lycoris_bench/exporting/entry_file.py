"""The JSON file of a leaderboard: what it shows, and how runs of others come into another one."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from lycoris_bench.analysis.columns import CRITERIA
from lycoris_bench.exporting.run_values import Entry, RunValues, Term, Value
from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError

FORMAT = "lycoris-bench leaderboard 1"
KEYS = frozenset(criterion.key for criterion in CRITERIA)
T = TypeVar("T", Term, Value)
NUMBERS = MappingProxyType({"stderr": (float, True), "value": (float, False), "n": (int, False),
                            "seeds": (int, False), "epoch": (int, True)})  # fmt: skip


def to_text(runs: Sequence[RunValues], apart: Mapping[str, str]) -> str:
    """All runs, also those that are listed apart, each of which has its sentence."""
    content = {"format": FORMAT, "runs": [run.to_json() for run in runs], "apart": dict(apart)}
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read(path: Path) -> list[RunValues]:
    """The runs of a leaderboard's file. BenchError: it is none, or damaged."""
    found = disk.read_json(path)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise BenchError(
            f"{path} is no leaderboard's file, as its 'format' is not '{FORMAT}'; give a run "
            "folder, or the leaderboard.json that 'lycoris-bench export leaderboard' wrote"
        )
    try:
        runs = [_run(run) for run in _listed(found.get("runs"))]
    except _WrongError as error:
        raise BenchError(f"{path} is damaged: {error}") from None
    if not runs:
        raise BenchError(f"{path} has no run")
    return runs


class _WrongError(BenchError):
    """What is wrong with the file, as the rest of a sentence."""


def _run(found: Any) -> RunValues:
    table = _table(found, RunValues)
    return RunValues(
        _text(table, "name"), _text(table, "study"), _text(table, "base_model"),
        _text(table, "dataset"),
        entries=tuple(_entry(entry) for entry in _listed(table["entries"])),
        terms=tuple(_plain(term, Term) for term in _listed(table["terms"])),
        base=_values(table["base"]), real=_values(table["real"]),
        encoders={str(k): str(v) for k, v in _mapping(table["encoders"]).items()},
    )  # fmt: skip


def _entry(found: Any) -> Entry:
    table = _table(found, Entry)
    return Entry(
        _text(table, "name"), _text(table, "algorithm"), _number(table, "epoch"),
        _number(table, "seeds"), _values(table["values"]),
    )  # fmt: skip


def _values(found: Any) -> dict[str, Value]:
    values = {key: _plain(value, Value) for key, value in _mapping(found).items()}
    if unknown := values.keys() - KEYS:
        raise _WrongError(f"there is no criterion {sorted(unknown)[0]!r}")
    return values


def _plain(found: Any, kind: type[T]) -> T:
    """A dataclass of texts and numbers."""
    table = _table(found, kind)
    given: dict[str, Any] = {
        f.name: _number(table, f.name) if f.name in NUMBERS else _text(table, f.name)
        for f in fields(kind)
    }
    return kind(**given)


def _table(found: Any, kind: type[Any]) -> Mapping[str, Any]:
    table, names = _mapping(found), {f.name for f in fields(kind)}
    if table.keys() != names:
        odd = sorted(table.keys() ^ names)
        raise _WrongError(f"{kind.__name__.lower()} has or lacks {', '.join(map(repr, odd[:3]))}")
    return table


def _mapping(found: Any) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise _WrongError(f"{str(found)[:40]!r} stands where an object is needed")
    return found


def _listed(found: Any) -> list[Any]:
    if not isinstance(found, list):
        raise _WrongError(f"{str(found)[:40]!r} stands where a list is needed")
    return found


def _text(table: Mapping[str, Any], name: str) -> str:
    if not isinstance(table[name], str):
        raise _WrongError(f"'{name}' is {table[name]!r}; a text is needed")
    return str(table[name])


def _number(table: Mapping[str, Any], name: str) -> Any:
    kind, absent = NUMBERS[name]
    value = table[name]
    if value is None and absent:
        return None
    allowed = (int, float) if kind is float else (int,)
    if type(value) not in allowed or not math.isfinite(value):
        raise _WrongError(f"'{name}' is {value!r}; a number is needed")
    return kind(value)
