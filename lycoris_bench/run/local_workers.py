"""Worker processes on this machine: their start, their signals, and what becomes of the work of one
that dies."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any, Self

from lycoris_bench.run import executor
from lycoris_bench.run.executor import Item, Queue, Result
from lycoris_bench.run.signals import TERMINATED, Terminated, terminable

GRACE = 10.0  # seconds that stopped workers have to close their files
DIED = (
    "its worker process died twice, the second time with no other at work (out of memory?); run "
    "again to continue"
)

_device: Sequence[str] = ()  # of this worker process; empty where none are given


class LocalWorkers:
    """So many processes, begun when there is work for them. Where one dies nobody knows which, and
    all end: what they had in their hands begins again in new ones, one item at a time, so that an
    item that fails is the one that ends its process, and no other."""

    def __init__(
        self, count: int, devices: Sequence[str], tell: Callable[[float], None], debug: bool
    ) -> None:
        self.count, self.devices, self.debug = count, tuple(devices), debug
        self.context = multiprocessing.get_context("spawn")
        # A pipe takes short messages whole. A queue has a lock, which a killed worker would keep.
        self.receiver, self.sender = self.context.Pipe(duplex=False)
        self.listener = threading.Thread(target=self._listen, args=(tell,), daemon=True)
        self.pool = self._begun()

    def __enter__(self) -> Self:
        self.listener.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind:
            _stop(list((self.pool._processes or {}).values()))
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.sender.send(None)
        self.listener.join()
        self.receiver.close()
        self.sender.close()

    def each(self, queue: Queue) -> Iterator[Result]:
        """Runs the items of the queue, as many at once as there are workers."""
        running: dict[Future[Any], Item] = {}
        lost: list[Item] = []  # were at work when a process died
        alone: Item | None = None  # one of them, at work again
        while True:
            if lost and not running:
                alone = lost.pop(0)
                running[self._submit(alone)] = alone
            while not (lost or alone) and len(running) < self.count and (item := queue.next()):
                running[self._submit(item)] = item
            if not running:
                return
            over, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in over:
                item = running.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool:
                    if item is not alone:
                        _say_lost(item)
                        lost.append(item)
                        continue
                    result = (None, DIED)
                alone = None
                yield from queue.over((item.name, *result))

    def _submit(self, item: Item) -> Future[Any]:
        with _interrupts_blocked():
            try:
                future = self.pool.submit(_in_worker, item, self.debug)
            except BrokenProcessPool:
                self.pool.shutdown(wait=True)
                self.pool = self._begun()
                future = self.pool.submit(_in_worker, item, self.debug)
            # The pool looks which processes it has to watch when it is given something, and may do
            # so before it has begun the one for it, whose death it would not see: once more.
            with contextlib.suppress(BrokenProcessPool):
                self.pool.submit(_nothing)
            return future

    def _begun(self) -> ProcessPoolExecutor:
        given = (os.getpid(), self.sender, self.context.Value("i", 0), self.devices)
        return ProcessPoolExecutor(self.count, self.context, _start_worker, given)

    def _listen(self, tell: Callable[[float], None]) -> None:
        while (steps := self.receiver.recv()) is not None:
            tell(steps)


def _nothing() -> None:
    pass


def _say_lost(item: Item) -> None:
    """What was at work when a process died, named as it is put back."""
    warnings.warn(
        f"a worker process died (out of memory?) while {item.name} was at work; it begins again, "
        "with no other beside it",
        stacklevel=3,
    )


def _start_worker(parent: int, sender: Any, started: Any, devices: Sequence[str]) -> None:
    """Sets up a worker process: its device, one thread for arithmetic, its signals. It exits when
    its parent does, so that a killed run leaves no process."""
    global _device
    executor.follow(sender.send)
    with started.get_lock():
        _device = [devices[started.value % len(devices)]] if devices else []
        started.value += 1
    for library in ("OMP", "MKL", "OPENBLAS"):  # read when it is imported: not before the work
        os.environ[f"{library}_NUM_THREADS"] = "1"
    # Ctrl-C reaches the whole process group, but the parent alone says when to stop: by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(0.3)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _in_worker(item: Item, debug: bool) -> tuple[Any, str | None]:
    """Runs one item in a worker process. SIGTERM ends the process once the item's files are
    closed."""
    try:
        with terminable():
            return executor.guarded(item, _device, debug)
    except Terminated:  # the pool would report it and begin the next item
        os._exit(TERMINATED)


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Blocks SIGINT, also in processes that start meanwhile, which would print a traceback."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop(processes: Sequence[Any]) -> None:
    """Ends workers by SIGTERM, which lets them close their files; after GRACE by SIGKILL."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + GRACE
    for process in processes:
        if not connection.wait([process.sentinel], max(0.0, deadline - time.monotonic())):
            process.kill()
