"""What a study asks for that cannot be had: names that do not exist, more than can be listed."""

import math
from collections.abc import Iterable, Mapping

from lycoris_bench.messages import suggestions
from lycoris_bench.messages.numbers import plural
from lycoris_bench.scoring.encoders import ENCODERS
from lycoris_bench.scoring.metrics import DEFAULT, METRICS
from lycoris_bench.study import prompt_types
from lycoris_bench.study.records import Configuration
from lycoris_bench.study.settings import Settings

MOST = 1_000_000  # checkpoints of a study
PRIOR = "prior_preservation"


def unknown_names(settings: Settings) -> Iterable[str]:
    """Metrics, encoders and prompt types that do not exist."""
    encoders = ENCODERS.entries()
    if prompt_types.GIVEN in settings.sampling.prompt_types:
        yield (
            f"prompt type '{prompt_types.GIVEN}' is of images that exist already, which a study "
            "does not draw; score a folder of them with 'lycoris-bench score DIR'"
        )
    named = {
        "metric": (settings.scoring.metrics, [*METRICS.entries(), DEFAULT]),
        "encoder": ([spec.split(":")[0] for spec in settings.scoring.encoders], [*encoders]),
        "prompt type": (settings.sampling.prompt_types, prompt_types.ASKED_FOR),
    }
    for kind, (names, allowed) in named.items():
        yield from (
            suggestions.unknown(kind, name, allowed)
            for name in names
            if name not in allowed and (kind, name) != ("prompt type", prompt_types.GIVEN)
        )
    for name in settings.scoring.weights:
        if name not in encoders:
            table = "scoring.weights."
            yield suggestions.unknown("encoder", f"{table}{name}", encoders, table=table)
    seen: dict[tuple[str, str], str] = {}
    for spec in settings.scoring.encoders:
        name, colon, resize = spec.partition(":")
        if name not in encoders:
            continue
        if colon and resize not in encoders[name].resizings:
            yield suggestions.unknown(f"resizing of {name}", resize, encoders[name].resizings)
        view = name, resize or encoders[name].record.resize
        if view in seen:
            yield f"encoders '{seen[view]}' and '{spec}' are the same; name it once"
        seen[view] = spec


def idle_keys(settings: Settings) -> Iterable[str]:
    """Keys that say which trainings do as a table says that is not there."""
    if settings.training.prior_preservation is not None:
        return
    for name, table in settings.algorithms.items():
        changes = table.get("vary") if isinstance(table, Mapping) else None
        told = [table, *(changes if isinstance(changes, list) else [])]
        if any(isinstance(one, Mapping) and PRIOR in one for one in told):
            yield (
                f"'algorithms.{name}.{PRIOR}' says who is held to class images, and none are asked "
                f"for: write the table [training.{PRIOR}], or leave the key out"
            )


def too_many(settings: Settings, configurations: list[Configuration]) -> Iterable[str]:
    """More checkpoints than can be listed."""
    counts = {
        "configuration": len(configurations),
        "seed": len(settings.seeds),
        "epoch": max(1, len(settings.epochs)),
        "strength": len(settings.sampling.strength),
    }
    asked = math.prod(counts.values())
    if asked > MOST:
        product = " x ".join(plural(count, name) for name, count in counts.items())
        yield f"{product} are {asked:,} checkpoints; at most {MOST:,} are allowed"
