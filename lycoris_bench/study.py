"""A study file becomes a `Study`: the settings and the grid of configurations they ask for.
Every mistake in the file is reported at once, each with what is allowed."""

import itertools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError

from lycoris_bench import grid, prompts, registry
from lycoris_bench.settings import Settings
from lycoris_bench.vocabulary import BASE_CHECKPOINT, Checkpoint, Configuration

PACKAGE = "package:"  # what ships with lycoris-bench: `package:configs/demo.toml`


class StudyError(ValueError):
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
    def runs(self) -> list[tuple[Configuration, int]]:
        """What is trained: each configuration with each seed."""
        return list(itertools.product(self.configurations, self.settings.seeds))

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """The base model, then every configuration, seed and epoch."""
        made = [Checkpoint(c, s, e) for c, s in self.runs for e in self.settings.epochs]
        return [BASE_CHECKPOINT, *made]

    def toml(self) -> str:
        """The resolved study as a file that can be run again."""
        return tomli_w.dumps(self.settings.model_dump(exclude_none=True))


def load(path: str | Path, overrides: Iterable[str] = ()) -> Study:
    """Reads, overrides (`a.b=c`) and validates a study file; paths resolve against its folder."""
    path = locate(str(path), Path.cwd())
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyError(str(path), ["there is no such study file"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise StudyError(str(path), [f"cannot be read as TOML: {error}"]) from None
    for override in overrides:
        _override(table, override)
    return parse(table, folder=path.parent, source=path.name)


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
    if isinstance(algorithms, Mapping):
        configurations = list(grid.expand(algorithms, problems))
    if settings:
        problems += _unknown_names(settings)
    if problems or settings is None:
        raise StudyError(source, problems)
    paths = {
        key: str(locate(value, folder))
        for key in ("base_model", "dataset", "prompts", "heldout")
        if (value := getattr(settings, key)) is not None
        and not (key == "base_model" and _is_hub_id(value, folder))
    }
    return Study(settings.model_copy(update=paths), tuple(configurations))


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
    if detail["type"] == "extra_forbidden":
        model: type[BaseModel] = Settings
        for part in detail["loc"][:-1]:
            model = model.model_fields[str(part)].annotation  # type: ignore[assignment]
        return registry.unknown(
            "key", where, registry.dotted(detail["loc"][:-1], model.model_fields)
        )
    if detail["type"] == "missing":
        return f"'{where}' is missing"
    message = detail["msg"].removeprefix("Value error, ")
    return f"'{where}' is {detail['input']!r}: {message[0].lower()}{message[1:]}"


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
