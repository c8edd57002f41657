"""Errors that are written for the user. Standard library only, so that everything may import it."""

import contextlib
import os
from collections.abc import Iterator


class BenchError(ValueError):
    """One sentence: what was found, what is allowed, what to type.

    Every error whose text is meant to be read is one of these. Any other exception is a fault of
    the program, and is reported with what was being done (`doing`)."""

    of_machine = False  # what is at fault is this machine: on another the same work may succeed


@contextlib.contextmanager
def doing(what: str) -> Iterator[None]:
    """Notes on an unexpected exception what was being done, such as `reading a.safetensors`.

    >>> try:
    ...     with doing("reading a.json"):
    ...         {}["key"]
    ... except KeyError as error:
    ...     print(explained(error))
    while reading a.json: KeyError: 'key'
    """
    try:
        yield
    except BenchError:
        raise
    except Exception as error:
        error.add_note(what)
        raise


def explained(error: BaseException) -> str:
    """An exception as one sentence: its own words if they are meant to be read, else what was
    being done, its type and its words.

    >>> explained(BenchError("rank is 0; 1 or more is allowed"))
    'rank is 0; 1 or more is allowed'
    >>> explained(KeyError("bytes"))
    "KeyError: 'bytes'"
    """
    text = " ".join(str(error).split())
    if isinstance(error, BenchError):
        return text
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror.lower()}"
    kind = type(error).__name__
    noted = getattr(error, "__notes__", [])
    return (f"while {noted[0]}: " if noted else "") + (f"{kind}: {text}" if text else kind)
