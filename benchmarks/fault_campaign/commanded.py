"""A command of the program, in a process that has its libraries loaded."""

import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

import lycoris_bench.analysis.pipeline
import lycoris_bench.cli.session
import lycoris_bench.stages.run  # noqa: F401  # loaded before the fork
from benchmarks.fault_campaign import moments
from lycoris_bench.cli.exits import call
from lycoris_bench.cli.main import app


def command(
    arguments: list[str], output: str, silence: float | None, environment: Mapping[str, str]
) -> None:
    """Runs a command line; what it prints goes into a file."""
    os.environ.update(environment)
    from lycoris_bench.planning import parts
    from lycoris_bench.run import ray_workers

    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.argv = ["lycoris-bench", *arguments]
    os.chdir(Path(output).parent)
    warnings.simplefilter("ignore")
    moments.install()
    parts.MOST_IMAGES = 2  # on a cluster a checkpoint is drawn in two parts
    if silence:
        ray_workers.SILENCE = silence
    status = call(app, arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
