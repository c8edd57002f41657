"""SIGTERM unwinds the work as Ctrl-C does. Imports the standard library only."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
_arrived = threading.Event()


class Terminated(SystemExit):
    """SIGTERM arrived. It is a SystemExit, which no handler of an item's errors catches."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """While it is open SIGTERM raises `Terminated`, so that files are closed, locks released and
    workers ended.

    Only the first SIGTERM does: `timeout` and service managers send several, and a second would
    interrupt the clean-up. An application's own handler stays, and so does an ignored SIGTERM."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    _arrived.clear()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def own_handler() -> Iterator[None]:
    """Puts back the handler of SIGTERM afterwards, where a library sets one of its own; what that
    one ends with, should SIGTERM arrive meanwhile, is `Terminated`."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as end:
        raise (Terminated(TERMINATED) if end.code == signal.SIGTERM else end) from None
    finally:
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGTERM, before)


def terminated() -> bool:
    """Whether SIGTERM has arrived: where a library makes another SystemExit of `Terminated`, as Ray
    does of one that is raised while it waits."""
    return _arrived.is_set()


def _terminate(number: int, frame: Any) -> None:
    signal.signal(number, signal.SIG_IGN)
    _arrived.set()
    raise Terminated(TERMINATED)
