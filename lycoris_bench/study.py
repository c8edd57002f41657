"""A study file becomes a `Study`: the settings and the grid of configurations they ask for.
Every mistake in the file is reported at once, each with what is allowed."""

import itertools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args, get_origin

import tomli_w
from pydantic import BaseModel, ValidationError

from lycoris_bench import grid, prompts, registry
from lycoris_bench.errors import BenchError
from lycoris_bench.settings import Combination, Settings
from lycoris_bench.vocabulary import BASE_CHECKPOINT, COMBINED, Checkpoint, Configuration

PACKAGE = "package:"  # what ships with lycoris-bench: `package:configs/demo.toml`


class StudyError(BenchError):
    """All that is wrong with a study, one sentence each."""

    def __init__(self, source: str, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__(f"{source}: " + "; ".join(self.problems))


@dataclass(frozen=True)
class Study:
    """Validated settings, with paths resolved, and their configurations in file order."""

    settings: Settings
    configurations: tuple[Configuration, ...]

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def trained(self) -> list[Checkpoint]:
        """What is trained: each configuration, seed and epoch."""
        settings = self.settings
        own = [c for c in self.configurations if c.algorithm != COMBINED]
        grid = itertools.product(own, settings.seeds, settings.epochs)
        return [Checkpoint(*cell) for cell in grid]

    @property
    def combined(self) -> list[Checkpoint]:
        """What is added up: with each seed and epoch where a part of it is trained, else once."""
        made: list[Checkpoint] = []
        names = {checkpoint.configuration.name for checkpoint in self.trained}
        for c in self.configurations:
            if c.algorithm == COMBINED and names & c.keywords.keys():
                seeds, epochs = self.settings.seeds, self.settings.epochs
                made += [Checkpoint(c, *cell) for cell in itertools.product(seeds, epochs)]
            elif c.algorithm == COMBINED:
                made.append(Checkpoint(c))
        return made

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """What is drawn: the base model, then all that is trained or added up, at each strength."""
        made = itertools.product([*self.trained, *self.combined], self.settings.sampling.strength)
        return [BASE_CHECKPOINT, *(replace(c, strength=strength) for c, strength in made)]

    def preset(self, configuration: Configuration) -> Any:
        """What a configuration's adapters are attached by: a preset's name, or the study's own."""
        table = self.settings.presets.get(configuration.preset)
        return configuration.preset if table is None else registry.preset(table)

    def toml(self) -> str:
        """The resolved study as a file that can be run again."""
        return tomli_w.dumps(self.settings.model_dump(exclude_none=True))


def load(path: str | Path, overrides: Iterable[str] = ()) -> Study:
    """Reads, overrides (`a.b=c`) and validates a study file; paths resolve against its folder,
    and those of a study that ships with lycoris-bench against the present one."""
    shipped = str(path).startswith(PACKAGE)
    path = locate(str(path), Path.cwd())
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyError(str(path), ["there is no such study file"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise StudyError(str(path), [f"cannot be read as TOML: {error}"]) from None
    for override in overrides:
        _override(table, override)
    return parse(table, folder=Path.cwd() if shipped else path.parent, source=path.name)


def parse(table: Mapping[str, Any], folder: Path = Path(), source: str = "study") -> Study:
    """The study of a table as TOML gives it; raises `StudyError` naming every mistake."""
    problems: list[str] = []
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(table)
    except ValidationError as error:
        problems += [_explain(detail) for detail in error.errors()]
    algorithms = table.get("algorithms")
    configurations = []
    presets = _presets(table.get("presets"), folder, problems)
    if isinstance(algorithms, Mapping):
        configurations = list(grid.expand(algorithms, problems, presets))
    if settings:
        combine = {
            name: _located(one, configurations, folder) for name, one in settings.combine.items()
        }
        configurations += grid.combinations(combine, configurations, problems)
        problems += _unknown_names(settings)
    if problems or settings is None:
        raise StudyError(source, problems)
    paths: dict[str, Any] = {
        key: str(locate(value, folder))
        for key in ("base_model", "dataset", "prompts", "heldout")
        if (value := getattr(settings, key)) is not None
        and not (key == "base_model" and _is_hub_id(value, folder))
    }
    if settings.sampling.base_model and not _is_hub_id(settings.sampling.base_model, folder):
        drawn = {"base_model": str(locate(settings.sampling.base_model, folder))}
        paths["sampling"] = settings.sampling.model_copy(update=drawn)
    paths |= {"presets": presets, "combine": combine}
    return Study(settings.model_copy(update=paths), tuple(configurations))


def _presets(found: Any, folder: Path, problems: list[str]) -> dict[str, dict[str, Any]]:
    """The study's own presets as tables; one that is a path is read from that TOML file."""
    tables: dict[str, dict[str, Any]] = {}
    for name, table in found.items() if isinstance(found, Mapping) else ():
        try:
            if isinstance(table, str):
                table = tomllib.loads(locate(table, folder).read_text(encoding="utf-8"))
            registry.preset(table)
        except (OSError, ValueError, TypeError) as error:
            problems.append(f"'presets.{name}': {error}")
        if name in registry.presets():
            problems.append(f"'presets.{name}' is a preset that exists; choose another name")
        tables[name] = table
    return tables


def _located(one: Combination, made: list[Configuration], folder: Path) -> Combination:
    """The combination with its files' paths resolved against the study's folder."""
    names = [configuration.name for configuration in made]
    adapters = tuple(
        adapter if adapter in names or not grid.is_file(adapter) else str(locate(adapter, folder))
        for adapter in one.adapters
    )
    return one.model_copy(update={"adapters": adapters})


def locate(name: str, folder: Path) -> Path:
    """A path relative to `folder`, or `package:path` inside what ships with lycoris-bench."""
    if not name.startswith(PACKAGE):
        return folder.resolve() / Path(name).expanduser()
    package = Path(str(files("lycoris_bench")))
    inside = name.removeprefix(PACKAGE)
    roots = (package, package / "share", package.parent)  # installed, or in the source tree
    return next((root / inside for root in roots if (root / inside).exists()), package / inside)


def _is_hub_id(name: str, folder: Path) -> bool:
    return (
        name.count("/") == 1
        and not name.startswith((".", "/", "~", PACKAGE))
        and not (folder / name).exists()
    )


def _override(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise StudyError("--set", [f"'{override}' is not of the form key=value or table.key=value"])
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is a string
    *parents, last = key.strip().split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise StudyError("--set", [f"'{override}': '{parent}' is not a table"])
    table[last] = value


def _explain(detail: Any) -> str:
    """One pydantic error as a sentence: where, what was found, what is allowed."""
    where = ".".join(str(part) for part in detail["loc"])
    if not where:
        return str(detail["msg"].removeprefix("Value error, "))
    if detail["type"] == "extra_forbidden":
        allowed = _table(detail["loc"][:-1]).model_fields
        return registry.unknown("key", where, registry.dotted(detail["loc"][:-1], allowed))
    if detail["type"] == "missing":
        return f"'{where}' is missing"
    message = detail["msg"].removeprefix("Value error, ")
    return f"'{where}' is {detail['input']!r}: {message[0].lower()}{message[1:]}"


def _table(location: tuple[Any, ...]) -> type[BaseModel]:
    """The model of the table at this place; a table of tables has names of the user's between."""
    model: type[BaseModel] = Settings
    parts = iter(location)
    for part in parts:
        kind: Any = model.model_fields[str(part)].annotation
        if get_origin(kind) is dict:
            next(parts, None)
            kind = get_args(kind)[1]
        model = kind
    return model


def _unknown_names(settings: Settings) -> Iterable[str]:
    """Metrics, encoders and prompt types that do not exist."""
    named = {
        "metric": (settings.scoring.metrics, registry.entries("metrics")),
        "encoder": (
            [spec.split(":")[0] for spec in settings.scoring.encoders],
            registry.entries("encoders"),
        ),
        "prompt type": (settings.sampling.prompt_types, prompts.TYPES),
    }
    for kind, (names, allowed) in named.items():
        yield from (registry.unknown(kind, name, allowed) for name in names if name not in allowed)
    for spec in settings.scoring.encoders:
        name, colon, resize = spec.partition(":")
        if colon and name in named["encoder"][1]:
            allowed = named["encoder"][1][name].resizings
            if resize not in allowed:
                yield registry.unknown(f"resizing of {name}", resize, allowed)
