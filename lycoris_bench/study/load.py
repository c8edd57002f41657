"""A study file becomes a `Study`: the settings and the grid of configurations they ask for.
Every mistake in the file is reported at once, each with what is allowed."""

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from lycoris_bench.adapters.presets.layers import PRESETS, Preset
from lycoris_bench.files import disk
from lycoris_bench.files.identity import uid
from lycoris_bench.files.shipped import PACKAGE, as_shipped
from lycoris_bench.messages.arguments import NAMES, PATH, Allowed
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.study import drawn as drawn_images
from lycoris_bench.study import grid
from lycoris_bench.study import names as naming
from lycoris_bench.study.asked_for import idle_keys, too_many, unknown_names
from lycoris_bench.study.mistakes import elsewhere, explain
from lycoris_bench.study.overrides import OverrideError, override
from lycoris_bench.study.places import is_hub_id, locate
from lycoris_bench.study.records import (
    BASE_CHECKPOINT,
    COMBINED,
    Checkpoint,
    Configuration,
)
from lycoris_bench.study.settings import Combination, Sampling, Settings, Training

PATHS = ("base_model", "dataset", "heldout", "prompts")
PLUGGED = "a name from a plug-in needs its file: --plugin FILE, or LYCORIS_BENCH_PLUGINS"
OVERRIDES = Allowed("a list such as ['sampling.images=2']", NAMES.holds)


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
    drawn: tuple[Checkpoint, ...] = ()  # whose images exist already (study/drawn.py)

    @property
    def name(self) -> str:
        return self.settings.name

    @cached_property
    def own(self) -> dict[str, Configuration]:
        """The configurations that are trained, by name."""
        made = () if self.drawn else self.configurations
        return {c.name: c for c in made if c.algorithm != COMBINED and not c.files}

    @cached_property
    def trained(self) -> list[Checkpoint]:
        """What is trained: each configuration, seed and epoch."""
        settings = self.settings
        grid = itertools.product(self.own.values(), settings.seeds, settings.epochs)
        return [Checkpoint(*cell) for cell in grid]

    @property
    def combined(self) -> list[Checkpoint]:
        """What is added up: with each seed and epoch where a part of it is trained, else once."""
        made: list[Checkpoint] = []
        for c in () if self.drawn else self.configurations:
            if c.algorithm == COMBINED and self.own.keys() & c.keywords.keys():
                seeds, epochs = self.settings.seeds, self.settings.epochs
                made += [Checkpoint(c, *cell) for cell in itertools.product(seeds, epochs)]
            elif c.algorithm == COMBINED:
                made.append(Checkpoint(c))
        return made

    @property
    def given(self) -> list[Checkpoint]:
        """What others trained, in the order of their training."""
        tables = self.settings.given
        return [
            Checkpoint(configuration, tables[configuration.name].seed, file.moment)
            for configuration in self.configurations
            for file in configuration.files
        ]

    @cached_property
    def checkpoints(self) -> list[Checkpoint]:
        """What is drawn: the base model, then all that is trained, added up or given, at each
        strength; whole models are what they are, at strength 1."""
        made = itertools.product(
            [*self.trained, *self.combined, *self.given], self.settings.sampling.strength
        )
        drawn = [replace(c, strength=s) for c, s in made if s == 1 or not c.is_whole]
        return [BASE_CHECKPOINT, *drawn, *self.drawn]

    def training(self, configuration: Configuration) -> Training:
        """How a configuration is trained: as the study says, but for prior preservation, which it
        may leave out."""
        training = self.settings.training
        if configuration.prior_preservation:
            return training
        return training.model_copy(update={"prior_preservation": None})

    def batches_a_step(self, configuration: Configuration) -> int:
        """A step shows a batch; one that is held to class images shows as many of them too."""
        return 2 if self.training(configuration).prior_preservation else 1

    def preset(self, configuration: Configuration) -> Any:
        """What a configuration's adapters are attached by: a preset's name, or the study's own."""
        table = self.settings.presets.get(configuration.preset)
        return configuration.preset if table is None else Preset.from_table(table)

    def with_sampling(self, **settings: Any) -> "Study":
        """The study with other values of `[sampling]`."""
        sampling = Sampling(**{**self.settings.sampling.model_dump(), **settings})
        return replace(self, settings=self.settings.model_copy(update={"sampling": sampling}))

    @property
    def local_models(self) -> tuple[Path, ...]:
        """The base models that are files or folders, not names of the hub."""
        named = (self.settings.base_model, self.settings.sampling.base_model or "")
        return tuple(Path(name) for name in dict.fromkeys(named) if Path(name).is_absolute())

    def at(self, place: Callable[[Path], Path]) -> "Study":
        """The study for a machine on which each base model lies at `place(model)`."""
        moved = {str(model): str(place(model)) for model in self.local_models}
        named = self.settings.base_model
        settings = self.settings.model_copy(update={"base_model": moved.get(named, named)})
        drawn = settings.sampling.base_model
        if drawn in moved:
            sampling = settings.sampling.model_copy(update={"base_model": moved[drawn]})
            settings = settings.model_copy(update={"sampling": sampling})
        return replace(self, settings=settings)

    def toml(self) -> str:
        """The resolved study as a file that can be run again."""
        if self.drawn:
            raise StudyError(self.name, ["its images exist already; its file is in the run folder"])
        table = self.settings.model_dump(exclude_none=True)
        table |= {key: as_shipped(table[key]) for key in PATHS if key in table}
        del table["given"]
        if given := self.settings.given:
            about = (one.model_dump(exclude_defaults=True) for one in given.values())
            table["given"] = dict(zip(given, about, strict=True))
        return tomli_w.dumps({key: value for key, value in table.items() if value != ()})


def load(path: str | Path, overrides: Sequence[str] = ()) -> Study:
    """Reads, overrides (`a.b=c`) and validates a study file; paths resolve against its folder,
    and those of a study that ships with lycoris-bench against the present one."""
    PATH.check("path", path)
    OVERRIDES.check("overrides", overrides)
    shipped = str(path).startswith(PACKAGE)
    path = locate(str(path), Path.cwd())
    try:
        table = disk.read_toml(path)
    except disk.NoSuchFile:
        raise StudyError(str(path), ["there is no such study file"]) from None
    except disk.FileError as error:
        raise StudyError(str(path), [str(error).removeprefix(f"{path} ")]) from None
    try:
        for text in overrides:
            override(table, text)
    except OverrideError as error:
        raise StudyError("--set", [str(error)]) from None
    source = f"{path.name} with --set" if overrides else path.name
    return parse(table, folder=Path.cwd() if shipped else path.parent, source=source)


def load_stored(path: Path) -> Study:
    """The study of a run folder, by the file that the stages wrote there. A name in it that is
    unknown now was known then, from a plug-in: the StudyError says how to give that."""
    try:
        return load(path)
    except StudyError as error:
        if not any(re.match("unknown (algorithm|encoder|metric) ", p) for p in error.problems):
            raise
        raise StudyError(path.name, [*error.problems, PLUGGED]) from None


def parse(table: Mapping[str, Any], folder: Path = Path(), source: str = "study") -> Study:
    """The study of a table as TOML gives it; raises `StudyError` naming every mistake."""
    problems: list[str] = []
    if drawn_images.DRAWN in table:
        if made := drawn_images.read(table, problems):
            return Study(made.settings, made.configurations, made.checkpoints)
        raise StudyError(source, problems)
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(table)
    except ValidationError as error:
        problems += [explain(detail) for detail in error.errors()]
    algorithms = table.get("algorithms")
    configurations = []
    presets = _presets(table.get("presets"), folder, problems)
    if isinstance(algorithms, Mapping):
        configurations = list(grid.expand(algorithms, problems, presets, elsewhere))
    if settings:
        combine = {
            name: _located(one, configurations, folder) for name, one in settings.combine.items()
        }
        configurations += grid.combinations(combine, configurations, problems)
        given = {
            name: one.model_copy(update={"files": tuple(str(locate(f, folder)) for f in one.files)})
            for name, one in settings.given.items()
        }
        configurations += grid.given(given)
        problems += unknown_names(settings)
        problems += idle_keys(settings)
        problems += too_many(settings, configurations)
    problems += naming.problems(configuration.name for configuration in configurations)
    if problems or settings is None:
        raise StudyError(source, problems)
    paths: dict[str, Any] = {
        key: str(locate(value, folder))
        for key in ("base_model", "dataset", "prompts", "heldout")
        if (value := getattr(settings, key)) is not None
        and not (key == "base_model" and is_hub_id(value, folder))
    }
    if settings.sampling.base_model and not is_hub_id(settings.sampling.base_model, folder):
        drawn = {"base_model": str(locate(settings.sampling.base_model, folder))}
        paths["sampling"] = settings.sampling.model_copy(update=drawn)
    weights = {
        name: given if is_hub_id(given, folder) else str(locate(given, folder))
        for name, given in settings.scoring.weights.items()
    }
    paths["scoring"] = settings.scoring.model_copy(update={"weights": weights})
    paths |= {"presets": presets, "combine": combine, "given": given}
    return Study(settings.model_copy(update=paths), tuple(configurations))


def _presets(found: Any, folder: Path, problems: list[str]) -> dict[str, dict[str, Any]]:
    """The study's own presets as tables; one that is a path is read from that TOML file."""
    tables: dict[str, dict[str, Any]] = {}
    for name, table in found.items() if isinstance(found, Mapping) else ():
        try:
            if isinstance(table, str):
                table = disk.read_toml(locate(table, folder))
            Preset.from_table(table)
            uid(table)  # which a date has not
        except (ValueError, TypeError) as error:
            problems.append(f"'presets.{name}': {error}")
            table = {}
        if name in PRESETS:
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
