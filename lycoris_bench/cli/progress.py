"""Progress of a stage: bars on a terminal, else a line on stderr every 30 seconds."""

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from lycoris_bench.messages.numbers import rough_duration, significant
from lycoris_bench.run import outcome
from lycoris_bench.run.outcome import WHOLE

EVERY = 30.0  # seconds between two lines
log = logging.getLogger("lycoris_bench")


@contextlib.contextmanager
def shown() -> Iterator[outcome.Progress]:
    """Shows progress while it is open; yields the callback that a stage reports its steps to."""
    console = Console(stderr=True)
    with _bars(console) if console.is_terminal else _lines() as progress:
        yield progress


@contextlib.contextmanager
def _bars(console: Console) -> Iterator[outcome.Progress]:
    columns = (TextColumn("{task.description:<9}"), BarColumn(), _Count(),
               TimeRemainingColumn(elapsed_when_finished=True))  # fmt: skip
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, Any] = {}

        def progress(what: str, steps: float, total: float) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.advance(tasks[what], steps)

        yield progress


class _Count(MofNCompleteColumn):
    """Steps done of all; of the whole line, whose steps are of several kinds, a share."""

    def render(self, task: Task) -> Text:
        return (
            Text(f"{task.percentage:.0f} %") if task.description == WHOLE else super().render(task)
        )


@dataclass
class Lines:
    """Counts steps and prints them as lines. Safe to call from several threads."""

    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    what: str = ""
    done: float = 0
    total: float = 0
    began: float = 0.0
    lock: Any = field(default_factory=threading.Lock)

    def __call__(self, what: str, steps: float, total: float) -> None:
        """Counts `steps` more steps of the stage `what` as done."""
        with self.lock:
            if what != self.what:
                self.what, self.done, self.total, self.began = what, 0, total, self.clock()
            self.done += steps

    def tell(self) -> None:
        """Prints one line: steps done, total, and rate with the time left at it, once a
        thousandth is done."""
        with self.lock:
            passed = self.clock() - self.began
            if not self.total or passed <= 0:
                return
            share = f"{self.done / self.total:.0%}"
            line = f"{self.what}: {self.done:,} of {self.total:,} ({share})"
            if self.what == WHOLE:
                line = f"{self.what}: {share}"
            if self.done * 1000 >= self.total:  # before that the rate is that of the start
                rate = self.done / passed
                left = rough_duration(max(0, self.total - self.done) / rate)
                line += "" if self.what == WHOLE else f", {_rate(rate)}"
                line += f", about {left} left"
        self.say(line)


def _rate(value: float) -> str:
    """A rate per second, minute or hour, whichever is at least 1.

    >>> _rate(12.34), _rate(0.5), _rate(0.002)
    ('12.3 a second', '30 a minute', '7.2 an hour')
    """
    for unit, seconds in (("second", 1), ("minute", 60), ("hour", 3600)):
        if value * seconds >= 1 or unit == "hour":
            break
    return f"{significant(value * seconds, short=True)} {'an' if unit == 'hour' else 'a'} {unit}"


@contextlib.contextmanager
def _lines() -> Iterator[outcome.Progress]:
    if not logging.getLogger().handlers and not log.handlers:  # an application's own go first
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
    lines, over = Lines(log.info), threading.Event()

    def follow() -> None:
        while not over.wait(EVERY):
            lines.tell()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield lines
    finally:
        over.set()
        thread.join()
