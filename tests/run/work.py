"""What worker processes of the tests do. Each of them imports this file, and no pytest."""

import os
import signal
import threading
import time
from pathlib import Path

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.run import executor


def halve(number: int) -> int:
    executor.advance()
    if number % 2:
        raise BenchError(f"{number} is odd;   an even\nnumber is needed")
    return number // 2


def fill(number: int) -> int:
    import torch  # not above: each worker imports this file

    if number == 3:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nMore words")
    return number


class Unpicklable(BenchError):
    def __init__(self, source: str, problems: list[str]) -> None:
        super().__init__(f"{source}: {problems}")


def refuse(number: int) -> None:
    raise Unpicklable("data", [str(number)])


def meet(place: Path, others: int, device: str) -> tuple[int, str]:
    """Waits until so many processes have come, so that each takes one item."""
    (place / str(os.getpid())).touch()
    deadline = time.monotonic() + 600  # a net for a test that would never end
    while len(list(place.iterdir())) < others and time.monotonic() < deadline:
        time.sleep(0.01)
    return os.getpid(), device


def die(number: int) -> None:
    os._exit(9)


def note(place: Path, name: str) -> None:
    with (place / "order").open("a") as file:  # a short line is written whole
        file.write(f"{name}\n")
    if name == "bad":
        raise BenchError("as asked")


def die_once(place: Path, number: int) -> int:
    if number == 2 and not (place / "died").exists():
        (place / "died").touch()
        os._exit(9)
    return number


def meet_a_death(place: Path) -> int:
    """Is at work, the first time, until its process is ended with the other."""
    if not (place / "died").exists():
        (place / "met").touch()
        threading.Event().wait(600)
    return 1


def die_when_met(place: Path) -> None:
    deadline = time.monotonic() + 600
    while not (place / "met").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    (place / "died").touch()
    os._exit(9)


def leave(folder: str) -> None:
    try:
        executor.advance()
        threading.Event().wait()  # for ever
    finally:
        Path(folder, str(os.getpid())).touch()


def refuse_to_leave(folder: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    leave(folder)


def interrupt_myself(number: int) -> int:
    signal.raise_signal(signal.SIGINT)
    return number
