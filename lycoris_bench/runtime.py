"""What the machine gives: device, threads, worker processes, provenance. Nothing at import."""

import multiprocessing
import os
import platform
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from lycoris_bench.errors import BenchError, explained

Progress = Callable[[str, int, int], None]
"""`progress(what, steps done by this call, steps in all)`: how a stage tells how far it is."""


@dataclass
class Outcome:
    """What a stage did: items made, items that were there already, and failures by name."""

    done: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """Exit status: 1 if something is missing or failed, else 0."""
        return 1 if self.failed else 0


@dataclass(frozen=True)
class Options:
    """How a stage is run, as against what it makes: none of these can change a result."""

    device: str = "cpu"
    workers: int = 1
    progress: Progress | None = None
    debug: bool = False


def device(wanted: str = "auto") -> str:
    """`auto` is CUDA where there is one, else the CPU."""
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = wanted.split(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise BenchError(f"unknown device '{wanted}'; allowed are: auto, cpu, cuda, cuda:N, mps")
    if kind == "cuda" and not torch.cuda.is_available():
        raise BenchError("device 'cuda' was asked for, but torch finds none; use --device cpu")
    return wanted


def default_workers(device_name: str) -> int:
    """One process a core on the CPU, where a thread each is fastest; one on an accelerator."""
    if device_name != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, 8))


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


def provenance(command: Sequence[str] = ()) -> dict[str, Any]:
    """Versions, hardware and command, as far as they can change a number."""
    packages = ("lycoris-bench", "torch", "bitsandbytes", "diffusers", "transformers", "timm",
                "open_clip_torch", "numpy", "scipy", "catboost", "pandas", "pillow")  # fmt: skip
    return {
        "command": list(command) or sys.argv,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "packages": {name: _version(name) for name in packages},
        "git": _git(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _git() -> str | None:
    """Commit of the source tree this runs from, if it is one."""
    tree = Path(__file__).parent.parent
    if not (tree / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=tree,
            capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
