"""Schedulers of diffusers by the names of their classes: steps from noise to an image."""

import inspect
import warnings
from typing import Any

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import plural
from lycoris_bench.messages.suggestions import unknown
from lycoris_bench.models.pipeline_folder import quiet

DDIM = "DDIMScheduler"
MOST_STEPS = 1000
BATCHES_NOISE = {"DPMSolverSDEScheduler"}  # noise of a batch, not of its images


def names() -> list[str]:
    """The schedulers that step with a model which predicts noise or velocity."""
    from diffusers.schedulers import KarrasDiffusionSchedulers

    found = {one.name for one in KarrasDiffusionSchedulers} - BATCHES_NOISE
    return sorted(name for name in found if _takes_betas(name))


def _takes_betas(name: str) -> bool:
    """Whether it can step by the base model's noise schedule: EDM's have one of their own, for
    models that predict the image, and draw nothing but noise with others."""
    import diffusers

    return "beta_schedule" in inspect.signature(getattr(diffusers, name).__init__).parameters


def check(name: str) -> str:
    """The name. BenchError: it is none of them."""
    if name != DDIM and name not in names():
        raise BenchError(unknown("scheduler", name, names()))
    return name


def check_steps(name: str, steps: int) -> None:
    """BenchError: the scheduler cannot draw in so few steps, as PNDM, which warms up with four."""
    if name != DDIM and not _can_take(name, steps):
        least = next(more for more in range(steps + 1, MOST_STEPS) if _can_take(name, more))
        raise BenchError(
            f"scheduler {name} cannot draw in {plural(steps, 'step')}; {least} or more are needed"
        )


def _can_take(name: str, steps: int) -> bool:
    import diffusers

    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # diffusers' own, of NumPy
            getattr(diffusers, name)().set_timesteps(steps)
    except ValueError:
        return False
    return True


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
