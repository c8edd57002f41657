"""What a signal to stop does: SIGTERM unwinds the work as Ctrl-C does. Standard library only."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


class Terminated(SystemExit):
    """SIGTERM arrived. As a SystemExit it is never taken for a failure of one item."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Within it SIGTERM raises `Terminated`, so that files, locks and workers are left in order.

    Only the first one does: `timeout` and service managers send several, and the second would
    cut off the leaving. An application's own handler stays, and so does a SIGTERM that is
    ignored."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: Any) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise Terminated(TERMINATED)
