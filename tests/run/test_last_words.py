"""Who is ended from outside leaves a sentence, who ends in order none."""

import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, sys
from lycoris_bench.run.last_words import last_words
from lycoris_bench.run.signals import terminable
with terminable(), last_words("the head is lost"):
    {}
print("went on")
"""


@pytest.mark.parametrize("end, status, said", [
    ("os._exit(1)", 1, "the head is lost\n"),
    ("os.kill(os.getpid(), signal.SIGKILL)", -9, "the head is lost\n"),
    ("sys.exit(1)", 1, "the head is lost\n"),  # as Ray does while it waits
    ("os.kill(os.getpid(), signal.SIGTERM)", 143, ""),
    ("pass", 0, ""),
])  # fmt: skip
def test_one_sentence_and_only_then(end: str, status: int, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT.format(end)],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (status, said)
    assert done.stdout == ("went on\n" if end == "pass" else "")
