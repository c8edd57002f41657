"""Runs independent work items in worker processes, or in this one: progress, errors, signals."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any

from lycoris_bench.messages.errors import explained
from lycoris_bench.run.outcome import Progress
from lycoris_bench.run.signals import TERMINATED, Terminated, terminable

OUT_OF_MEMORY = "OutOfMemoryError"  # torch's; this module does not import it
GRACE = 10.0  # seconds that stopped workers have to close their files


def _start_worker(parent: int, steps: Any, started: Any, devices: Sequence[str]) -> None:
    """Sets up a worker process: its device, one thread for arithmetic, its signals. It exits when
    its parent does, so that a killed run leaves no process."""
    global _steps, _device
    _steps = steps
    with started.get_lock():
        _device = _own(devices, started.value)
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


_steps: Any = None
_device: Sequence[str] = ()  # the device of this worker process; empty where none are given


def advance(steps: int = 1) -> None:
    """Called by the work itself: counts `steps` more steps as done."""
    if callable(_steps):
        _steps(steps)
    elif _steps is not None:
        _steps.send(steps)


def each(
    work: Callable[..., Any],
    items: Sequence[tuple[str, tuple[Any, ...]]],
    *,
    workers: int,
    total: int,
    what: str,
    devices: Sequence[str] = (),
    progress: Progress | None = None,
    debug: bool = False,
) -> Iterator[tuple[str, Any, str | None]]:
    """Runs `work(*arguments)` for each (name, arguments); yields (name, result, error sentence).
    With `devices` it runs `work(*arguments, device)`; worker i has device i modulo their number.

    When an item raises, its error is yielded and the others go on. One worker is this process;
    several are processes of one thread each. `total` is the number of steps that `advance` will
    count, `what` names them in `progress`."""

    def tell(steps: int) -> None:
        if progress:
            progress(what, steps, total)

    tell(0)
    if workers <= 1 or len(items) <= 1:
        yield from _each_here(work, items, tell, _own(devices, 0), debug)
        return
    context = multiprocessing.get_context("spawn")
    # A pipe takes short messages whole. A queue has a lock, which a killed worker would keep.
    receiver, sender = context.Pipe(duplex=False)
    listener = threading.Thread(target=_listen, args=(receiver, tell), daemon=True)
    listener.start()
    workers = min(workers, len(items))
    given = (os.getpid(), sender, context.Value("i", 0), tuple(devices))
    pool = ProcessPoolExecutor(workers, context, _start_worker, given)
    try:
        with _interrupts_blocked():
            names = {pool.submit(_in_worker, work, args, debug): name for name, args in items}
        for future in as_completed(names):
            try:
                yield names[future], *future.result()
            except BrokenProcessPool:
                died = "its worker process died (out of memory?); run again to continue"
                yield names[future], None, died
    except BaseException:
        _stop(list((pool._processes or {}).values()))
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        sender.send(None)
        listener.join()
        receiver.close()
        sender.close()


def _own(devices: Sequence[str], worker: int) -> Sequence[str]:
    return [devices[worker % len(devices)]] if devices else []


def _each_here(
    work: Callable[..., Any],
    items: Sequence[tuple[str, tuple[Any, ...]]],
    tell: Callable[[int], None],
    device: Sequence[str],
    debug: bool,
) -> Iterator[tuple[str, Any, str | None]]:
    global _steps
    before, _steps = _steps, tell
    try:
        for name, arguments in items:
            yield name, *_guarded(work, (*arguments, *device), debug)
    finally:
        _steps = before


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


def _in_worker(
    work: Callable[..., Any], arguments: tuple[Any, ...], debug: bool
) -> tuple[Any, str | None]:
    """Runs one item in a worker process. SIGTERM ends the process once the item's files are
    closed."""
    try:
        with terminable():
            return _guarded(work, (*arguments, *_device), debug)
    except Terminated:  # the pool would report it and begin the next item
        os._exit(TERMINATED)


def _guarded(
    work: Callable[..., Any], arguments: tuple[Any, ...], debug: bool
) -> tuple[Any, str | None]:
    """(result, None) or (None, error sentence), since not every exception can be pickled."""
    try:
        return work(*arguments), None
    except Exception as error:
        said = sentence(error, debug)
        _free_gpu(error)
        return None, said


def _listen(receiver: Any, tell: Callable[[int], None]) -> None:
    while (steps := receiver.recv()) is not None:
        tell(steps)


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
