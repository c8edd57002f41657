"""The grid of a study: per algorithm a default, then each variation of it, as configurations."""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.adapters.presets.layers import PRESETS, Preset
from lycoris_bench.files.identity import exact, uid
from lycoris_bench.messages import suggestions
from lycoris_bench.models.partial import lacking
from lycoris_bench.models.whole import is_model
from lycoris_bench.study.records import COMBINED, Configuration, GivenFile

FILE = ".safetensors"
MAIN_CAPTIONS = ".txt"
EVERY = ["*"]  # concept of the study
_NOT_OPTIONS = (
    "name", "preset", "lr", "captions", "concepts", "prior_preservation", "capacity", "importance",
    "vary",
)  # fmt: skip
Presets = Mapping[str, Mapping[str, Any]]
Elsewhere = Callable[[str], list[str]]


def expand(
    algorithms: Mapping[str, Any],
    problems: list[str],
    presets: Presets | None = None,
    elsewhere: Elsewhere = lambda key: [],
) -> Iterable[Configuration]:
    """The default of each algorithm, then each variation; mistakes are added to `problems`.

    `presets` are the study's own, beside those that every study has. `elsewhere` knows in which
    other tables of a study file a key belongs."""
    available = ALGORITHMS.entries()
    seen: dict[tuple[str, bool], str] = {}
    said: dict[str, None] = {}
    for algorithm, default in algorithms.items():
        if algorithm not in available:
            said[suggestions.unknown("algorithm", algorithm, available)] = None
            continue
        if not isinstance(default, Mapping):
            said[f"'algorithms.{algorithm}' must be a table"] = None
            continue
        for change in ({}, *_variations(algorithm, default, said)):
            made = _configuration(
                algorithm, available[algorithm], default, change, presets or {}, elsewhere, said
            )
            if made is None:
                continue
            trained = made.uid, made.prior_preservation
            if twin := seen.get(trained):
                said[f"configurations '{twin}' and '{made.name}' are the same"] = None
                continue
            seen[trained] = made.name
            yield made
    problems += said


def combinations(
    tables: Mapping[str, Any], made: Iterable[Configuration], problems: list[str]
) -> Iterable[Configuration]:
    """Configurations that are trained by nobody: adapters of the study or files, added up.

    `tables` are validated, with the paths of files resolved."""
    names = {configuration.name for configuration in made}
    for name, table in tables.items():
        parts = zip(table.adapters, table.strengths or [1.0] * len(table.adapters), strict=True)
        for adapter in table.adapters:
            if adapter not in names and not is_file(adapter):
                key = f"combine.{name}."
                said = suggestions.unknown("adapter", key + adapter, names, table=key)
                problems.append(f"{said}; a file ends in {FILE}")
        files = [os.path.realpath(a) for a in table.adapters if a not in names and is_file(a)]
        if len(set(files)) < len(files):
            problems.append(f"'combine.{name}' names a file twice: once, at the sum of strengths")
        yield Configuration(name, COMBINED, options=tuple(parts), importance=False)


def given(tables: Mapping[str, Any]) -> Iterable[Configuration]:
    """Configurations that others trained: a table of the study file each, with paths resolved."""
    for name, table in tables.items():
        moments = [*table.moments, None][: len(table.files)]
        yield Configuration(
            name, table.algorithm, table.preset, table.lr,
            options=tuple(sorted(table.options.items())),
            importance=False,
            files=tuple(
                _given(path, moment, table.unit, table.last)
                for path, moment in zip(table.files, moments, strict=True)
            ),
        )  # fmt: skip


def _given(path: str, moment: int | None, unit: str, last: int | None) -> GivenFile:
    whole = is_model(path)
    partial = whole and bool(lacking(Path(path)))
    return GivenFile(path, moment, whole, unit, partial, last if moment is None else None)


def is_file(adapter: str) -> bool:
    """Whether the name is that of a file, or of a folder as PEFT writes them."""
    return adapter.endswith(FILE) or "/" in adapter


def _variations(
    algorithm: str, default: Mapping[str, Any], said: dict[str, None]
) -> Iterable[dict[str, Any]]:
    vary = default.get("vary", [])
    if not isinstance(vary, list) or not all(isinstance(change, dict) for change in vary):
        said[f"'algorithms.{algorithm}.vary' must be a list of tables"] = None
        return []
    if any("vary" in change for change in vary):
        said[f"'algorithms.{algorithm}.vary' has a 'vary' within it, which nothing reads"] = None
    return vary


def _configuration(
    algorithm: str,
    adapter: Any,
    default: Mapping[str, Any],
    change: Mapping[str, Any],
    own_presets: Presets,
    elsewhere: Elsewhere,
    said: dict[str, None],
) -> Configuration | None:
    where = f"algorithms.{algorithm}"
    values = {**default, **change}
    allowed = adapter.options()
    options = {key: value for key, value in values.items() if key not in _NOT_OPTIONS}
    mistakes = [
        suggestions.unknown(
            "key",
            f"{where}.{key}",
            suggestions.dotted(where.split("."), [*allowed, *_NOT_OPTIONS]),
            elsewhere(key),
            f"{where}.",
        )
        for key in options
        if key not in allowed
    ]
    named = change.get("name") if change else default.get("name", algorithm)
    mistakes += _wrong(where, algorithm, values, named, own_presets)
    if not mistakes:
        mistakes += _refused(
            where, adapter, algorithm, options, own_presets.get(values.get("preset", ""))
        )
    if mistakes:
        said |= dict.fromkeys(mistakes)
        return None
    preset = values.get("preset", "attn-mlp")
    captions = values.get("captions", MAIN_CAPTIONS)
    own = values.get("concepts", EVERY)
    concepts = () if own == EVERY else tuple(own)
    return Configuration(
        name=_name(algorithm, change) if named is None else named,
        algorithm=algorithm,
        preset=preset,
        lr=float(values["lr"]),
        options=tuple(sorted((key, _plain(value)) for key, value in options.items())),
        layers=uid(own_presets[preset]) if preset in own_presets else "",
        captions="" if captions == MAIN_CAPTIONS else captions,
        concepts=concepts,
        prior_preservation=values.get("prior_preservation", True),
        capacity=values.get("capacity", 1),
        importance=values.get("importance", not concepts),
    )


def _refused(
    where: str, adapter: Any, algorithm: str, options: dict[str, Any], preset: Any
) -> Iterable[str]:
    """What the algorithm says of the options, and of those that the study's own preset gives to
    some layers in their place."""
    try:
        adapter.check(**options)
    except (ValueError, TypeError) as error:
        yield f"'{where}': {error}"
        return
    try:
        maps = Preset.from_table(preset).maps if preset is not None else ()
    except (ValueError, TypeError):
        return  # which is said of the preset itself
    for layers, override in maps:
        name, layer_options = override.applied(algorithm, options)
        try:
            ALGORITHMS.get(name).check(**layer_options)
        except (ValueError, TypeError) as error:
            yield f"'{where}' with the preset's map for '{layers}': {error}"


def _wrong(
    where: str, algorithm: str, values: Mapping[str, Any], named: Any, own_presets: Presets
) -> Iterable[str]:
    """What is wrong with the keys that every algorithm has, one sentence each."""
    lr, preset = values.get("lr"), values.get("preset", "attn-mlp")
    if isinstance(lr, bool) or not isinstance(lr, int | float) or not 0 < lr <= 1:
        yield f"'{where}.lr' is {lr!r}: a learning rate above 0 and at most 1 is needed"
    if not isinstance(named, str | None):
        yield f"'{where}.name' is {named!r}: a text is needed, in quotes"
    presets = {**PRESETS, **own_presets}
    if not isinstance(preset, str) or preset not in presets:
        yield suggestions.unknown("preset", preset, presets)
    elif (only := getattr(presets[preset], "only", "")) not in ("", algorithm):
        yield f"'{where}.preset': '{preset}' is for {only} alone"
    captions = values.get("captions", MAIN_CAPTIONS)
    if not isinstance(captions, str) or not re.fullmatch(r"\.[\w-]+", captions):
        yield (
            f"'{where}.captions' is {captions!r}: the extension of caption files is needed, "
            "like '.txt' or '.no-tags'"
        )
    concepts = values.get("concepts", EVERY)
    if not isinstance(concepts, list) or not concepts or not all(
        isinstance(pattern, str) and pattern for pattern in concepts
    ):  # fmt: skip
        yield (
            f"'{where}.concepts' is {concepts!r}: a list of concepts or patterns of them is "
            "needed, like ['toys/*']"
        )
    capacity, importance = values.get("capacity", 1), values.get("importance", True)
    if type(capacity) is not int or capacity not in (1, 2, 3):
        yield f"'{where}.capacity' is {capacity!r}: 1, 2 or 3 is allowed"
    prior = values.get("prior_preservation", True)
    for key, value in (("importance", importance), ("prior_preservation", prior)):
        if not isinstance(value, bool):
            yield f"'{where}.{key}' is {value!r}: true or false is needed"


def _plain(value: Any) -> Any:
    """4.0 as 4: two ways to write one number are one configuration."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _name(algorithm: str, change: Mapping[str, Any]) -> str:
    """`lora`, and `lora-dim32-alpha16` for a variation: what differs from the default."""
    parts = [algorithm]
    for key, value in change.items():
        if key == "preset":
            parts.append(str(value))
        elif key == "captions":
            parts.append(str(value).lstrip("."))
        elif key == "concepts":
            parts += [pattern.replace("/", "-") for pattern in value]
        elif key == "prior_preservation":
            parts.append("prior" if value else "no-prior")
        elif key not in ("capacity", "importance", "name", "vary"):
            parts.append(f"{key}{exact(value) if isinstance(value, float) else value}")
    return "-".join(parts)
