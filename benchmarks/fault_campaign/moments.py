"""What happens to a process of a run at a moment of it. Each process listens to what the program
tells its executor: an item begins, a step is done, a file was written. At the moment that
`plan.json` names it does what that says, to itself."""

import errno
import importlib
import json
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

PLACE = "LYCORIS_BENCH_FAULT"  # variable: the folder of the plan
HOOK = "from benchmarks.fault_campaign import moments\nmoments.install()\n"
"""The text of a `sitecustomize.py`, which every Python process on its path runs first."""


@dataclass(frozen=True)
class Moment:
    """The events from number `first` on, so many `times`, that a pattern matches, such as
    "wrote .*/epoch-001.json"; and what to do then, by its name in ACTIONS."""

    event: str
    action: str
    first: int = 0
    times: int = 1
    states: bool = False  # trainings save their state at every step

    def plan(self, folder: Path) -> None:
        """Removes what is known of an earlier moment, and awaits this one."""
        forget(folder)
        part = folder / "plan.part"
        part.write_text(json.dumps(asdict(self)))
        part.replace(folder / "plan.json")


def forget(folder: Path) -> None:
    """Awaits nothing any more."""
    for name in ("plan.json", "go", *(path.name for path in folder.glob("hit-*"))):
        (folder / name).unlink(missing_ok=True)


def pause(folder: Path) -> None:
    while not (folder / "go").exists():
        time.sleep(0.02)


def out_of_memory(_: Path) -> None:
    raise MemoryError("Unable to allocate 9.31 GiB")


def out_of_gpu_memory(_: Path) -> None:
    import torch

    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.31 GiB.")


def full(_: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


ACTIONS: dict[str, Callable[[Path], Any]] = {
    "SIGKILL": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "SIGSTOP": lambda _: os.kill(os.getpid(), signal.SIGSTOP),
    "pause": pause,
    "MemoryError": out_of_memory,
    "OutOfMemoryError": out_of_gpu_memory,
    "ENOSPC": full,
}


def install() -> None:
    """Listens to the events of this process, where the variable names a folder."""
    if PLACE not in os.environ:
        return
    from lycoris_bench.run import executor

    folder = Path(os.environ[PLACE])
    if getattr(executor.wrote, "of_faults", False):
        return
    wrote, advance, perform = executor.wrote, executor.advance, executor.perform

    def wrote_and_told(path: Path) -> None:
        wrote(path)
        happened(folder, f"wrote {path}")

    def advanced(steps: int = 1) -> None:
        advance(steps)
        happened(folder, f"step {running[0]}")

    def performed(item: Any, device: Any) -> Any:
        running[0] = item.name
        happened(folder, f"begin {item.name}")
        return perform(item, device)

    running = [""]
    wrote_and_told.of_faults = True
    executor.wrote, executor.advance, executor.perform = wrote_and_told, advanced, performed


def happened(folder: Path, event: str) -> None:
    """Does what the plan says of this event, if anything."""
    try:
        moment = Moment(**json.loads((folder / "plan.json").read_text()))
    except OSError:
        return
    if moment.states:
        training = importlib.import_module("lycoris_bench.stages.fine_tuning")
        assert hasattr(training, "STATE_SECONDS"), "it is called otherwise by now"
        training.STATE_SECONDS = 0.0
    if not re.search(moment.event, event):
        return
    place = folder / f"hit-{next(k for k in count() if _claimed(folder / f'hit-{k}'))}"
    if moment.first <= int(place.name.removeprefix("hit-")) < moment.first + moment.times:
        ACTIONS[moment.action](folder)


def _claimed(place: Path) -> bool:
    """Whether this process is the first to write this file; it holds its number."""
    try:
        with place.open("x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return False
    return True
