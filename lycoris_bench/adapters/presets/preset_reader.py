"""Reads and checks the table of a preset, in the TOML form of the ecosystem."""

from collections.abc import Callable, Mapping
from typing import Any

from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.adapters.presets.patterns import PatternError, pattern
from lycoris_bench.adapters.presets.preset import Override, known_algorithm
from lycoris_bench.messages import suggestions
from lycoris_bench.messages.errors import BenchError

LISTS = {
    "unet_target_module": "unet",
    "unet_target_name": "unet_names",
    "text_encoder_target_module": "text_encoder",
    "text_encoder_target_name": "text_encoder_names",
    "exclude_name": "excluded",
}
SWITCHES = {"enable_conv": "convolutions", "train_norm": "norms", "use_fnmatch": "fnmatch"}
MAPS = {"module_algo_map": "by_class", "name_algo_map": "by_name"}
KEYS = {**LISTS, **SWITCHES, **MAPS}
NAMES = ("unet_target_name", "text_encoder_target_name", "exclude_name", "name_algo_map")
SAME = {"locon": "lora"}  # LyCORIS has two names for it
TARGETS = [key for key in (*LISTS, *MAPS) if key != "exclude_name"]


def read_table(table: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords of a `Preset`; BenchError: names every mistake of the table."""
    if not isinstance(table, Mapping):
        raise BenchError(f"a preset is a table of {', '.join(sorted(KEYS))}")
    keywords: dict[str, Any] = {"convolutions": True}
    problems: list[str] = []
    for key, value in table.items():
        if key not in KEYS:
            problems.append(suggestions.unknown("key of a preset", key, KEYS))
            continue
        before = len(problems)
        read = _switch if key in SWITCHES else _list if key in LISTS else _map
        keywords[KEYS[key]] = read(key, value, problems.append)
        if key in NAMES and table.get("use_fnmatch") is not True and len(problems) == before:
            problems += [problem for name in value if (problem := _expression(key, name))]
    if not problems and not any(table.get(key) for key in TARGETS):
        problems.append(f"a preset without targets trains nothing; give {' or '.join(TARGETS)}")
    if problems:
        raise BenchError("; ".join(problems))
    return keywords


def _switch(key: str, value: Any, report: Callable[[str], None]) -> bool:
    if not isinstance(value, bool):
        report(f"{key} is {value!r}; true or false is allowed")
    return value is True


def _list(key: str, value: Any, report: Callable[[str], None]) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        report(f"{key} is {value!r}; a list of names is allowed")
        return ()
    return tuple(value)


def _map(key: str, value: Any, report: Callable[[str], None]) -> tuple[tuple[str, Override], ...]:
    if not isinstance(value, Mapping):
        report(f"{key} is {value!r}; a table of tables is allowed")
        return ()
    entries = []
    for name, options in value.items():
        if not isinstance(options, Mapping):
            report(f"{key}.{name} is {options!r}; a table of options is allowed")
            continue
        rest = {option: chosen for option, chosen in options.items() if option != "algo"}
        named = options.get("algo")
        algorithm = SAME.get(str(named), named)
        if algorithm is not None:
            if problem := known_algorithm(algorithm):
                report(f"{key}.{name}: {problem}")
                continue
            try:
                ALGORITHMS.get(algorithm).check(**rest)
            except (ValueError, TypeError) as error:
                report(f"{key}.{name}: {error}")
        entries.append((name, Override(algorithm, rest)))
    return tuple(entries)


def _expression(key: str, name: str) -> str | None:
    try:
        pattern(name)
    except PatternError as error:
        return f"{key}: {error}; use_fnmatch = true takes patterns with *"
    return None
