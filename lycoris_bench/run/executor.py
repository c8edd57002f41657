"""What the machine gives: device, threads, worker processes, provenance. Nothing at import."""

import multiprocessing
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from lycoris_bench.messages.errors import explained
from lycoris_bench.run.outcome import Progress


def _start_worker(parent: int, queue: Any) -> None:
    """One thread for the arithmetic, and death with the parent: a killed run leaves no process."""
    global _steps
    _steps = queue
    for library in ("OMP", "MKL", "OPENBLAS"):  # read when it is imported: not before the work
        os.environ[f"{library}_NUM_THREADS"] = "1"

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(0.3)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


_steps: Any = None


def advance(steps: int = 1) -> None:
    """Called by the work itself: so many more steps are done."""
    if callable(_steps):
        _steps(steps)
    elif _steps is not None:
        _steps.put(steps)


def each(
    work: Callable[..., Any],
    items: Sequence[tuple[str, tuple[Any, ...]]],
    *,
    workers: int,
    total: int,
    what: str,
    progress: Progress | None = None,
    debug: bool = False,
) -> Iterator[tuple[str, Any, str | None]]:
    """Runs `work(*arguments)` for each (name, arguments); yields (name, result, error sentence).

    An item that raises is reported and the rest goes on. With one worker the work is done here,
    otherwise in processes of one thread each. `total` counts the steps of `advance`."""
    tell = (lambda steps: progress(what, steps, total)) if progress else (lambda steps: None)
    tell(0)
    if workers <= 1 or len(items) <= 1:
        yield from _each_here(work, items, tell, debug)
        return
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    listener = threading.Thread(target=_listen, args=(queue, tell), daemon=True)
    listener.start()
    pool = ProcessPoolExecutor(
        min(workers, len(items)), context, _start_worker, (os.getpid(), queue)
    )
    try:
        waiting = {pool.submit(_guarded, work, given, debug): name for name, given in items}
        for future in as_completed(waiting):
            try:
                yield waiting[future], *future.result()
            except BrokenProcessPool:
                died = "its worker process died (out of memory?); run again to continue"
                yield waiting[future], None, died
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        queue.put(None)
        listener.join()


def _each_here(work, items, tell, debug):  # type: ignore[no-untyped-def]
    global _steps
    before, _steps = _steps, tell
    try:
        for name, arguments in items:
            yield name, *_guarded(work, arguments, debug)
    finally:
        _steps = before


def _guarded(
    work: Callable[..., Any], arguments: tuple[Any, ...], debug: bool
) -> tuple[Any, str | None]:
    """(result, None) or (None, sentence): an exception would not always survive pickling."""
    try:
        return work(*arguments), None
    except Exception as error:
        return None, sentence(error, debug)


def _listen(queue: Any, tell: Callable[[int], None]) -> None:
    while (steps := queue.get()) is not None:
        tell(steps)


def sentence(error: BaseException, debug: bool = False) -> str:
    """An error as one sentence, or as its traceback where that is asked for."""
    if debug:
        return "".join(traceback.format_exception(error))
    return explained(error)
