"""Mistakes of who asks a benchmark about a run, as sentences."""

import sys
from collections.abc import Callable

from lycoris_bench.messages.errors import BenchError, explained


def answered(main: Callable[[], None]) -> int:
    """Runs it and returns the exit status: 2, and one sentence, where the input is wrong."""
    try:
        main()
    except (BenchError, OSError) as error:
        print(f"error: {explained(error)}", file=sys.stderr)
        return 2
    return 0
