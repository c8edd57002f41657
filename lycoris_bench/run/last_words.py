"""A sentence for a process that is ended from outside: Ray ends its driver without a word where the
cluster's head is lost, at once or by a SystemExit. Imports the standard library only."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

from lycoris_bench.run.signals import terminated

ORDERLY = b"."  # what the watching process reads where the work ends, well or with an error
WATCH = "import sys; sys.stdin.read() or print(sys.argv[1], file=sys.stderr)"


@contextlib.contextmanager
def last_words(sentence: str) -> Iterator[None]:
    """Prints the sentence to stderr if this process ends before the block does, or the block by a
    SystemExit that SIGTERM did not raise: a small process waits for the end of a pipe that
    nobody else holds."""
    watcher = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", WATCH, sentence],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    end = ORDERLY
    try:
        yield
    except SystemExit:
        end = ORDERLY if terminated() else b""
        raise
    finally:
        watcher.communicate(end)
