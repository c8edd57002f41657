"""Runs work items, here or in worker processes: in the order of their dependencies, with progress,
and so that the failure of one stops no other."""

import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lycoris_bench.messages.errors import explained
from lycoris_bench.run.outcome import Progress

OUT_OF_MEMORY = "OutOfMemoryError"  # torch's; this module does not import it
Result = tuple[str, Any, str | None]
"""The name of an item, what its work returned, and the sentence of its error."""


@dataclass(frozen=True)
class Item:
    """One piece of work, `work(*arguments)`, that begins when the items named in `after` are done.

    Of items that could begin, one of the lowest `turn` does, and of these the first. `unit` is what
    one step of its work counts in progress."""

    name: str
    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    after: frozenset[str] = frozenset()
    turn: float = 0.0
    unit: float = 1.0


@dataclass
class Queue:
    """The items that have not begun, and the names of those that are done or have failed."""

    waiting: list[Item]
    done: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.waiting = sorted(self.waiting, key=lambda item: item.turn)

    def next(self) -> Item | None:
        """Takes out the item to begin now; None while all wait for others."""
        for item in self.waiting:
            if item.after <= self.done:
                self.waiting.remove(item)
                return item
        return None

    def over(self, result: Result) -> Iterator[Result]:
        """Records a result; yields it, and errors for the items that cannot begin any more."""
        name, _, error = result
        (self.failed if error else self.done).add(name)
        yield result
        for item in [item for item in self.waiting if name in item.after] if error else ():
            if item in self.waiting:  # else it was yielded for another reason
                self.waiting.remove(item)
                yield from self.over((item.name, None, f"not begun, as {name} failed"))


_steps: Callable[[float], None] | None = None  # of this process, while items run
_unit = 1.0  # of the item that runs


def advance(steps: int = 1) -> None:
    """Called by the work itself: counts `steps` more steps as done."""
    if _steps:
        _steps(steps * _unit)


def share(total: int, items: int, workers: int) -> int:
    """How many of all images or steps, in so many items, each process will make.

    >>> share(100, 5, 2), share(100, 1, 2), share(0, 0, 2)
    (50, 100, 0)
    """
    return total // max(1, min(workers, items))


def each(
    items: Sequence[Item],
    *,
    workers: int,
    total: float,
    what: str,
    devices: Sequence[str] = (),
    progress: Progress | None = None,
    debug: bool = False,
) -> Iterator[Result]:
    """Runs all items; yields their results as they come.

    With `devices` it runs `work(*arguments, device)`; worker i has device i modulo their number.
    When an item raises, its error is yielded and the others go on, apart from those that wait for
    it. One worker is this process; several are processes of one thread each. `total` is the number
    of steps that `advance` will count, `what` names them in `progress`."""

    def tell(steps: float) -> None:
        if progress:
            progress(what, steps, total)

    tell(0)
    queue = Queue(list(items))
    if workers <= 1 or len(items) <= 1:
        yield from _each_here(queue, tell, devices[:1], debug)
        return
    from lycoris_bench.run.local_workers import LocalWorkers

    with LocalWorkers(min(workers, len(items)), devices, tell, debug) as pool:
        yield from pool.each(queue)


def _each_here(
    queue: Queue, tell: Callable[[float], None], device: Sequence[str], debug: bool
) -> Iterator[Result]:
    global _steps
    before, _steps = _steps, tell
    try:
        while item := queue.next():
            yield from queue.over((item.name, *guarded(item, device, debug)))
    finally:
        _steps = before


def follow(tell: Callable[[float], None]) -> None:
    """Sends the steps that this process counts from now on to `tell`."""
    global _steps
    _steps = tell


def guarded(item: Item, device: Sequence[str], debug: bool) -> tuple[Any, str | None]:
    """Runs an item: (result, None) or (None, error sentence), as not every exception can be
    pickled."""
    global _unit
    _unit = item.unit
    try:
        return item.work(*item.arguments, *device), None
    except Exception as error:
        said = sentence(error, debug)
        _free_gpu(error)
        return None, said


def sentence(error: BaseException, debug: bool = False) -> str:
    """An error as one sentence, or with `debug` as its traceback."""
    if debug:
        return "".join(traceback.format_exception(error))
    if type(error).__name__ == OUT_OF_MEMORY:
        return (
            "the GPU's memory does not suffice; lower 'batch_size' of training, sampling or "
            f"scoring, or set training.gradient_checkpointing ({str(error).splitlines()[0]})"
        )
    return explained(error)


def _free_gpu(error: BaseException) -> None:
    """Gives back what the failed item has left in torch's cache, so that the next one may fit."""
    if type(error).__name__ == OUT_OF_MEMORY:
        error.__traceback__ = None  # its frames hold the item's tensors
        torch = sys.modules["torch"]
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
