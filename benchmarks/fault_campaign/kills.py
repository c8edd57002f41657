"""Processes of this machine that are killed, stopped, or run out of memory."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from benchmarks.fault_campaign.fault import Fault
from benchmarks.fault_campaign.moments import Moment
from benchmarks.fault_campaign.scene import Command, Scene

EVENTS = {
    "training": (r"step l\w+/seed-1$", 1),
    "weights without their card": (r"wrote .*checkpoints/.*/epoch-001\.safetensors$", 0),
    "drawing the base model": (r"wrote .*images/base/.*\.png$", 1),
    "drawing a checkpoint": (r"wrote .*images/l\w+/seed-1/epoch-002/.*\.png$", 1),
    "scoring": (r"wrote .*metrics/l\w+/seed-1/epoch-001-images\.parquet$", 0),
    "scoring a part": (r"wrote .*epoch-001-part-001-of-002-images\.parquet$", 0),
    "joining the tables": (r"wrote .*/metrics\.parquet$", 0),
    "analysis": (r"wrote .*analysis/scores\.parquet$", 0),
}  # fmt: skip
"""Moments of a run: an event, and how many of its kind come before."""
OF_WORKERS = ("training", "drawing the base model", "drawing a checkpoint", "scoring")
Hand = Callable[[Scene, Command, int], str | None]


def moment(name: str, action: str, **more: Any) -> Moment:
    event, first = EVENTS[name]
    return Moment(event, action, first, **more)


def struck(name: str, action: str, where: str, what: str, **more: object) -> Fault:
    """What a process of the run does to itself."""

    def do(scene: Scene) -> None:
        spread(scene, where)
        scene.await_(moment(name, action, **more))
        scene.run()
        scene.reached()
        scene.again()

    return Fault(where, what, name, do)


def by_hand(name: str, hand: Hand, where: str, what: str, action: str = "pause") -> Fault:
    """What is done from outside while a process of the run waits at the moment."""

    def do(scene: Scene) -> str | None:
        spread(scene, where)
        scene.await_(moment(name, action))
        command = scene.begin()
        remark = hand(scene, command, scene.reached())
        scene.go()
        scene.ended(command)
        scene.again()
        return remark

    return Fault(where, what, name, do)


def spread(scene: Scene, where: str) -> None:
    """Takes the workers that "2 workers" says, unless there is a cluster."""
    if scene.nodes is None:
        scene.options = ("--workers", where.split()[0])
        scene.measure(where)


def kill(scene: Scene, command: Command, _: int) -> None:
    command.kill()


def terminate(scene: Scene, command: Command, _: int) -> None:
    command.kill(signal.SIGTERM)


def wake(scene: Scene, _: Command, process: int) -> None:
    time.sleep(4)
    os.kill(process, signal.SIGCONT)


def terminate_and_look(scene: Scene, command: Command, process: int) -> str | None:
    """The command ends although a worker of it hangs, and takes it along."""
    command.kill(signal.SIGTERM)
    command.process.join(30)
    if command.process.exitcode is None:
        return "BROKEN: the command did not end"
    return lives(process)


def lives(process: int, seconds: float = 10.0) -> str | None:
    """A remark where a process that should be gone is there still."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not psutil.pid_exists(process) or psutil.Process(process).status() == "zombie":
            return None
        time.sleep(0.2)
    os.kill(process, signal.SIGKILL)
    return "BROKEN: the worker's process was left behind"


def faults() -> Iterator[Fault]:
    one, two = "1 worker", "2 workers"
    for name in (name for name in EVENTS if name != "scoring a part"):  # there are none
        yield struck(name, "SIGKILL", one, "SIGKILL of the command")
    for name in ("training", "drawing a checkpoint", "analysis"):
        yield by_hand(name, terminate, one, "SIGTERM of the command")
    for name in ("training", "drawing a checkpoint"):
        yield struck(name, "MemoryError", one, "out of memory")
        yield struck(name, "OutOfMemoryError", one, "out of the GPU's memory")
    for name in OF_WORKERS:
        yield struck(name, "SIGKILL", two, "SIGKILL of a worker")
    for name in ("training", "drawing a checkpoint"):
        yield by_hand(name, kill, two, "SIGKILL of the command")
        yield by_hand(name, terminate, two, "SIGTERM of the command")
        yield by_hand(name, wake, two, "a worker is stopped for 4 s", "SIGSTOP")
    yield struck("scoring", "MemoryError", two, "out of memory")
    yield by_hand(
        "drawing a checkpoint", terminate_and_look, two,
        "a worker hangs, then SIGTERM of the command", "SIGSTOP",
    )  # fmt: skip
