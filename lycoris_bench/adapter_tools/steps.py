"""Progress of a tool: reports each layer to a callback that the command sets."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import TypeVar

from lycoris_bench.run.outcome import Progress

T = TypeVar("T")
_listener: ContextVar[Progress | None] = ContextVar("listener", default=None)


@contextlib.contextmanager
def told(progress: Progress) -> Iterator[None]:
    """While it is open, `counted` calls `progress` with its steps."""
    before = _listener.set(progress)
    try:
        yield
    finally:
        _listener.reset(before)


def counted(items: Iterable[T], what: str) -> Iterator[T]:
    """Yields the items; each is a step of `what`, done when the next item is requested.

    >>> said = []
    >>> with told(lambda *step: said.append(step)):
    ...     list(counted("ab", "reading"))
    ['a', 'b']
    >>> said
    [('reading', 0, 2), ('reading', 1, 2), ('reading', 1, 2)]
    """
    items = items if isinstance(items, Sequence) else list(items)
    progress = _listener.get() or _silent
    progress(what, 0, len(items))
    for item in items:
        yield item
        progress(what, 1, len(items))


def _silent(what: str, steps: int, total: int) -> None:
    """Reports nothing."""
