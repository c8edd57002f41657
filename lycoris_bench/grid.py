"""The grid of a study: per algorithm a default, then each variation of it, as configurations."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from lycoris_bench import registry
from lycoris_bench.vocabulary import BASE, COMBINED, REAL, Configuration, uid

FILE = ".safetensors"
MAIN_CAPTIONS = ".txt"
_NOT_OPTIONS = ("name", "preset", "lr", "captions", "capacity", "importance", "vary")


Presets = Mapping[str, Mapping[str, Any]]


def expand(
    algorithms: Mapping[str, Any], problems: list[str], presets: Presets | None = None
) -> Iterable[Configuration]:
    """The default of each algorithm, then each variation; mistakes are added to `problems`.

    `presets` are the study's own, beside those that every study has."""
    available = registry.entries("adapters")
    seen: dict[str, str] = {}
    for algorithm, default in algorithms.items():
        if algorithm not in available:
            problems.append(registry.unknown("algorithm", algorithm, available))
            continue
        if not isinstance(default, Mapping):
            problems.append(f"'algorithms.{algorithm}' must be a table")
            continue
        for change in ({}, *_variations(algorithm, default, problems)):
            values = {k: v for k, v in {**default, **change}.items() if k != "vary"}
            made = _configuration(
                algorithm, available[algorithm], values, change, presets or {}, problems
            )
            if made is None:
                continue
            if made.name in (BASE, REAL):
                problems.append(f"'{made.name}' is the name of what configurations are held to")
            if twin := seen.get(made.uid) or (made.name if made.name in seen.values() else None):
                problems.append(f"configurations '{twin}' and '{made.name}' are the same")
            seen[made.uid] = made.name
            yield made


def combinations(
    tables: Mapping[str, Any], made: Iterable[Configuration], problems: list[str]
) -> Iterable[Configuration]:
    """Configurations that are trained by nobody: adapters of the study or files, added up.

    `tables` are validated, with the paths of files resolved."""
    names = [configuration.name for configuration in made]
    for name, table in tables.items():
        if name in (BASE, REAL, *names):
            problems.append(f"'combine.{name}' is the name of something else; choose another")
        parts = zip(table.adapters, table.strengths or [1.0] * len(table.adapters), strict=True)
        for adapter in table.adapters:
            if adapter not in names and not is_file(adapter):
                problems.append(
                    registry.unknown("adapter", f"combine.{name}.{adapter}", names)
                    + f"; a file ends in {FILE}"
                )
        yield Configuration(name, COMBINED, options=tuple(parts), importance=False)


def is_file(adapter: str) -> bool:
    """Whether the name is that of a file, or of a folder as PEFT writes them."""
    return adapter.endswith(FILE) or "/" in adapter


def _variations(
    algorithm: str, default: Mapping[str, Any], problems: list[str]
) -> Iterable[dict[str, Any]]:
    vary = default.get("vary", [])
    if not isinstance(vary, list) or not all(isinstance(change, dict) for change in vary):
        problems.append(f"'algorithms.{algorithm}.vary' must be a list of tables")
        return []
    return vary


def _configuration(
    algorithm: str,
    adapter: Any,
    values: dict[str, Any],
    change: Mapping[str, Any],
    own_presets: Presets,
    problems: list[str],
) -> Configuration | None:
    where = f"algorithms.{algorithm}"
    allowed = list(adapter.options())
    options = {key: value for key, value in values.items() if key not in _NOT_OPTIONS}
    found = [
        registry.unknown(
            "key", f"{where}.{key}", registry.dotted(where.split("."), [*allowed, *_NOT_OPTIONS])
        )
        for key in options
        if key not in allowed
    ]
    lr = values.get("lr")
    if isinstance(lr, bool) or not isinstance(lr, int | float) or not 0 < lr <= 1:
        found.append(f"'{where}.lr' is {lr!r}: a learning rate above 0 and at most 1 is needed")
    presets = {**registry.presets(), **own_presets}
    preset = values.get("preset", "attn-mlp")
    if preset not in presets:
        found.append(registry.unknown("preset", preset, presets))
    elif (only := getattr(presets[preset], "only", "")) not in ("", algorithm):
        found.append(f"'{where}.preset': '{preset}' is for {only} alone")
    captions = values.get("captions", MAIN_CAPTIONS)
    if not isinstance(captions, str) or not re.fullmatch(r"\.[\w-]+", captions):
        found.append(
            f"'{where}.captions' is {captions!r}: the extension of caption files is needed, "
            "like '.txt' or '.no-tags'"
        )
    if values.get("capacity", 1) not in (1, 2, 3):
        found.append(f"'{where}.capacity' is {values['capacity']!r}: 1, 2 or 3 is allowed")
    if not found:
        try:
            adapter.check(**options)
        except (ValueError, TypeError) as error:
            found.append(f"'{where}': {error}")
    problems += [problem for problem in found if problem not in problems]
    if found:
        return None
    return Configuration(
        name=str(values["name"]) if "name" in change else _name(algorithm, change),
        algorithm=algorithm,
        preset=preset,
        lr=float(lr),  # type: ignore[arg-type]
        options=tuple(sorted(options.items())),
        layers=uid(own_presets[preset]) if preset in own_presets else "",
        captions="" if captions == MAIN_CAPTIONS else captions,
        capacity=values.get("capacity", 1),
        importance=bool(values.get("importance", True)),
    )


def _name(algorithm: str, change: Mapping[str, Any]) -> str:
    """`lora`, and `lora-dim32-alpha16` for a variation: what differs from the default."""
    parts = [algorithm]
    for key, value in change.items():
        if key == "preset":
            parts.append(str(value))
        elif key == "captions":
            parts.append(str(value).lstrip("."))
        elif key not in ("capacity", "importance", "name"):
            parts.append(f"{key}{value:g}" if isinstance(value, float) else f"{key}{value}")
    return "-".join(parts)
