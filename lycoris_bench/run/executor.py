"""Runs work items, here or in worker processes: in the order of their dependencies, with progress,
and so that the failure of one stops no other."""

import sys
import traceback
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lycoris_bench.messages.errors import explained
from lycoris_bench.run.outcome import Progress

if TYPE_CHECKING:
    from lycoris_bench.run.cluster import Cluster

OUT_OF_MEMORY = "OutOfMemoryError"  # torch's; this module does not import it
Result = tuple[str, Any, str | None]
"""The name of an item, what its work returned, and the sentence of its error."""


@dataclass(frozen=True)
class Item:
    """One piece of work, `work(*arguments)`, that begins when the items named in `after` are done.

    Of items that could begin, one of the lowest `turn` does, and of these the first. Its work
    counts about so many `steps`, each of which is `unit` in progress.

    Some of its files, `marks`, are names of what others may wait for: on a cluster they begin once
    it is stored, while this item goes on. When it has to begin again, `rest` makes the item of what
    is not done yet.

    On another machine it needs the files and folders that it `reads`, and those that it `shares`
    with other items; what it writes is sent back when it ends, or at once if it `streams`. There
    its work gets `argument.at(place)` for each argument that has this method: the argument for a
    machine on which each file lies at `place(file)`."""

    name: str
    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    after: frozenset[str] = frozenset()
    turn: float = 0.0
    unit: float = 1.0
    steps: float = 1.0
    reads: tuple[Path, ...] = ()
    shares: tuple[Path, ...] = ()
    streams: bool = False
    marks: Mapping[Path, str] = field(default_factory=dict)
    rest: "Callable[[Item, Container[str]], Item] | None" = None


@dataclass
class Queue:
    """The items that have not begun, and the names of those that are done or have failed."""

    waiting: list[Item]
    done: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    begun: dict[str, Item] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.waiting = sorted(self.waiting, key=lambda item: item.turn)

    def next(self, suits: Callable[[Item], bool] = lambda _: True) -> Item | None:
        """Takes out the item to begin now, of those that suit; None while all wait for others."""
        for item in self.waiting:
            if item.after <= self.done and suits(item):
                self.waiting.remove(item)
                self.begun[item.name] = item
                return item
        return None

    def startable(self) -> int:
        """The number of items that could begin now."""
        return sum(item.after <= self.done for item in self.waiting)

    def again(self, item: Item) -> None:
        """Puts back an item whose work was lost: it is the next of its turn."""
        item = item.rest(item, self.done) if item.rest else item
        self.waiting = sorted([item, *self.waiting], key=lambda item: item.turn)

    def over(self, result: Result) -> Iterator[Result]:
        """Records a result; yields it, and errors for the items that cannot begin any more."""
        name, _, error = result
        names = {name, *(self.begun[name].marks.values() if name in self.begun else ())}
        (self.failed if error else self.done).update(names - self.done)
        yield result
        names -= self.done
        for item in [item for item in self.waiting if names & item.after] if error else ():
            if item in self.waiting:  # else it was yielded for another reason
                self.waiting.remove(item)
                yield from self.over((item.name, None, f"not begun, as {name} failed"))


_steps: Callable[[float], None] | None = None  # of this process, while items run
_unit = 1.0  # of the item that runs
_written: Callable[[Path], None] | None = None  # told of each file, where another machine waits


def sends() -> bool:
    """Whether what this process writes is sent to another machine."""
    return _written is not None


def wrote(path: Path) -> None:
    """Called by the store: a file was written, whole."""
    if _written:
        _written(path)


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
    cluster: "Cluster | None" = None,
) -> Iterator[Result]:
    """Runs all items; yields their results as they come.

    With `devices` it runs `work(*arguments, device)`; worker i has device i modulo their number.
    When an item raises, its error is yielded and the others go on, apart from those that wait for
    it. One worker is this process; several are processes of one thread each, or with a `cluster`
    those that it has room for, of which `workers` is the most (0: no limit). `total` is the number
    of steps that `advance` will count, `what` names them in `progress`."""

    def tell(steps: float) -> None:
        if progress:
            progress(what, steps, total)

    tell(0)
    queue = Queue(list(items))
    if cluster:
        from lycoris_bench.run.ray_workers import RayWorkers

        with RayWorkers(cluster, workers or len(items), devices, tell, debug) as crew:
            yield from crew.each(queue)
        return
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


def follow(tell: Callable[[float], None], written: Callable[[Path], None] | None = None) -> None:
    """Sends the steps that this process counts from now on to `tell`, and the files that its store
    writes to `written`."""
    global _steps, _written
    _steps, _written = tell, written


def guarded(item: Item, device: Sequence[str], debug: bool) -> tuple[Any, str | None]:
    """Runs an item: (result, None) or (None, error sentence), as not every exception can be
    pickled."""
    try:
        return perform(item, device), None
    except Exception as error:
        said = sentence(error, debug)
        free_gpu(error)
        return None, said


def perform(item: Item, device: Sequence[str]) -> Any:
    """Runs an item, whose steps count by its unit from now on."""
    global _unit
    _unit = item.unit
    return item.work(*item.arguments, *device)


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


def free_gpu(error: BaseException) -> None:
    """Gives back what the failed item has left in torch's cache, so that the next one may fit."""
    if type(error).__name__ == OUT_OF_MEMORY:
        error.__traceback__ = None  # its frames hold the item's tensors
        torch = sys.modules["torch"]
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
