"""The study file of images that exist already: which configurations drew them, at which steps, and
where they lie. `lycoris-bench score DIR` writes it into the run folder; no study draws them."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import tomli_w
from pydantic import Field, ValidationError

from lycoris_bench.study import names
from lycoris_bench.study.mistakes import explain
from lycoris_bench.study.records import Checkpoint, Configuration
from lycoris_bench.study.settings import Sampling, Scoring, Settings, Training
from lycoris_bench.study.table import Listed, Strength, Table, Text

DRAWN = "drawn"  # the key of its tables, and the algorithm of what nothing is known of
Whole = Annotated[int, Field(ge=0, lt=2**62)]


class Drawn(Table):
    """Where the images of one configuration lie, from the run folder, and what is known of it."""

    folder: Text
    steps: Annotated[tuple[Whole, ...], Listed] = ()
    seeds: Annotated[tuple[Whole, ...], Listed] = ()  # of the trainings
    strengths: Annotated[tuple[Strength, ...], Listed] = (1.0,)
    algorithm: Text = DRAWN
    preset: str = ""
    lr: Annotated[float, Field(ge=0, le=1)] = 0.0


class DrawnStudy(Table):
    """A whole file."""

    name: Text
    scoring: Scoring = Scoring()
    drawn: Annotated[dict[str, Drawn], Field(min_length=1)]


_KEYS = DrawnStudy.model_fields


@dataclass(frozen=True)
class DrawnImages:
    """The settings, configurations and checkpoints of images that exist already."""

    settings: Settings
    configurations: tuple[Configuration, ...]
    checkpoints: tuple[Checkpoint, ...]


def read(table: Mapping[str, Any], problems: list[str]) -> DrawnImages | None:
    """What a file says; None where something is wrong with it, which is added to `problems`."""
    of_a_study = [k for k in table if k in Settings.model_fields and k not in _KEYS]
    if of_a_study:
        problems.append(
            f"'{DRAWN}' is of images that exist already, which no study draws; it does not go with "
            + ", ".join(map(repr, of_a_study))
        )
        return None
    try:
        found = DrawnStudy.model_validate(table)
    except ValidationError as error:
        problems += [explain(detail, DrawnStudy) for detail in error.errors()]
        return None
    problems += names.problems(found.drawn)
    if problems:
        return None
    settings = Settings.model_construct(
        name=found.name, base_model="", dataset="", prompts="", scoring=found.scoring,
        training=Training(), sampling=Sampling(),
    )  # fmt: skip
    made = {name: _configuration(name, one) for name, one in found.drawn.items()}
    checkpoints = (
        Checkpoint(made[name], *cell)
        for name, one in found.drawn.items()
        for cell in itertools.product(one.seeds or (None,), one.steps or (None,), one.strengths)
    )
    return DrawnImages(settings, tuple(made.values()), tuple(checkpoints))


def _configuration(name: str, one: Drawn) -> Configuration:
    return Configuration(name, one.algorithm, one.preset, one.lr, importance=False)


def toml(
    name: str,
    scoring: Mapping[str, Any],
    checkpoints: Iterable[Checkpoint],
    folders: Mapping[str, str],
) -> str:
    """The file of these checkpoints: `scoring` is its table, `folders` says where the images of a
    configuration lie."""
    by_name: dict[str, list[Checkpoint]] = {}
    for checkpoint in checkpoints:
        by_name.setdefault(checkpoint.configuration.name, []).append(checkpoint)
    tables = {one: _table(made, folders[one]) for one, made in by_name.items()}
    return tomli_w.dumps({"name": name, "scoring": dict(scoring), DRAWN: tables})


def _table(made: Sequence[Checkpoint], folder: str) -> dict[str, Any]:
    configuration = made[0].configuration
    columns = {
        "steps": sorted({c.epoch for c in made if c.epoch is not None}),
        "seeds": sorted({c.seed for c in made if c.seed is not None}),
        "strengths": sorted({c.strength for c in made}),
    }
    about = {
        "algorithm": configuration.algorithm,
        "preset": configuration.preset,
        "lr": configuration.lr,
    }
    known = {key: value for key, value in {**columns, **about}.items() if value}
    return {"folder": folder, **known}
