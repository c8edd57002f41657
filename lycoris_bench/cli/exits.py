"""Exit statuses, and errors as sentences in place of tracebacks."""

import shlex
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lycoris_bench.messages.errors import BenchError, explained
from lycoris_bench.messages.printable import printable
from lycoris_bench.run.signals import INTERRUPTED, TERMINATED, terminable, terminated

MOST = 40  # mistakes that are printed
LONGEST = 2000  # characters of one mistake that are printed
REPORT = (
    "This is a fault of lycoris-bench. Please report it to the project with what "
    "--debug prints and, if you can, the file."
)


def call(command: Callable[..., Any], arguments: list[str] | None = None) -> int:
    """Runs the command line and returns its exit status (0, 1, 2, 130 or 143)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        Path.cwd()
    except OSError:
        print("error: the present folder is gone; go to another with cd", file=sys.stderr)
        return 2
    with terminable():
        status = _run(command, arguments)
        if status in (INTERRUPTED, TERMINATED):
            again = shlex.join(["lycoris-bench", *arguments])
            print(f"interrupted; what is done is kept. To continue, type: {again}", file=sys.stderr)
        return status


def _run(command: Callable[..., Any], arguments: list[str]) -> int:
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            result = command(arguments, standalone_mode=False, prog_name="lycoris-bench")
    except KeyboardInterrupt:  # the CLI library, too, returns 130 for one
        return INTERRUPTED
    except SystemExit:
        if not terminated():
            raise
        return TERMINATED
    except Exception as error:
        return _explain(error, "--debug" in arguments)
    return result if isinstance(result, int) else 0


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    """Prints a warning as one line, without its place in the code."""
    print(f"warning: {_line(str(message))}", file=sys.stderr)


def _explain(error: Exception, debug: bool) -> int:
    """Prints an error as one sentence to stderr. Returns 2 for what the user can correct, 1 for
    a fault of the program."""
    if debug:
        raise error
    if hasattr(error, "show"):  # a usage error of the CLI library
        error.show()
        return 2
    problems = getattr(error, "problems", None)
    if problems and len(problems) > 1:
        head = f"{len(problems)} mistakes in {printable(str(error).split(': ')[0])}:"
        rest = [f"and {len(problems) - MOST:,} more"] if len(problems) > MOST else []
        print("\n  - ".join([head, *map(_line, problems[:MOST]), *rest]), file=sys.stderr)
        return 2
    print(f"error: {_line(explained(error))}", file=sys.stderr)
    if isinstance(error, BenchError | OSError):
        return 2
    print(REPORT, file=sys.stderr)
    return 1


def _line(text: str) -> str:
    return printable(text, LONGEST)
