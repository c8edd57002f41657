"""Schedulers of diffusers by the names of their classes: steps from noise to an image."""

import inspect
from typing import Any

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.suggestions import unknown
from lycoris_bench.models.pipeline_folder import quiet

DDIM = "DDIMScheduler"
BATCHES_NOISE = {"DPMSolverSDEScheduler"}  # noise of a batch, not of its images


def names() -> list[str]:
    """The schedulers that step with a model which predicts noise or velocity."""
    from diffusers.schedulers import KarrasDiffusionSchedulers

    return sorted({one.name for one in KarrasDiffusionSchedulers} - BATCHES_NOISE)


def check(name: str) -> str:
    """The name. BenchError: it is none of them."""
    if name != DDIM and name not in names():
        raise BenchError(unknown("scheduler", name, names()))
    return name


def scheduler(name: str, schedule: Any) -> Any:
    """A scheduler of this class with the noise schedule of another; that one itself for DDIM.

    BenchError: no scheduler has the name, or the base model's own is no DDIM, whose place none
    can take."""
    if name == DDIM:
        return schedule
    import diffusers

    if not isinstance(schedule, diffusers.DDIMScheduler):
        raise BenchError(
            f"the base model steps by itself: sampling.scheduler '{name}' cannot take its place; "
            f"leave the key out"
        )
    with quiet():
        return getattr(diffusers, check(name)).from_config(schedule.config)


def draws(scheduler: Any) -> bool:
    """Whether a step can take noise, from generators that it is given."""
    return "generator" in inspect.signature(scheduler.step).parameters
