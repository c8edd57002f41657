"""What does Ray cost on one machine, against the worker processes of the local launcher?

    python -m benchmarks.overhead [--study configs/demo.toml] [--set KEY=VALUE ...]
        [--workers 1 2] [--rounds 1]

The same study is run from an empty folder by either launcher, in turns, each in a process of its
own; the cluster, one node with a core for each worker, is started beforehand. `wall`: seconds from
the command to the table, without the analysis. `driver`: processor seconds of the process that
holds the run folder, without its workers, an item that Ray hands out; for the local launcher over
the same items; `memory`: the most that process held. The two tables are compared value by value,
and a difference is status 1. With one local worker there is no worker process: the work is done
where the command runs."""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd

from lycoris_bench.planning.plan import plan
from lycoris_bench.planning.status import Status
from lycoris_bench.run.cluster import Cluster
from lycoris_bench.run.outcome import Options, Outcome
from lycoris_bench.run.store import Store
from lycoris_bench.stages import run, run_stage
from lycoris_bench.stages.run import items_of
from lycoris_bench.study.load import load
from tests.support.ray_nodes import nodes

LAUNCHERS = ("local", "ray")


def main() -> None:
    """Prints a line for each number of workers, or is the child that runs the study once."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--study", default="package:configs/demo.toml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        folder, launcher, workers, address = given.child
        print(json.dumps(child(given, Path(folder), launcher, int(workers), address)))
        return
    items = items_on_a_cluster(given)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; "
          f"{Path(given.study).name}, {items} items on a cluster")  # fmt: skip
    same = [compared(given, workers, items) for workers in given.workers]
    sys.exit(not all(same))


def items_on_a_cluster(given: argparse.Namespace) -> int:
    """How many items the driver hands out for the whole study."""
    asked = plan(load(given.study, given.set))
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        options = Options(cluster=Cluster())
        return len(items_of(asked, store, Status(asked, store), options, Outcome()))


def compared(given: argparse.Namespace, workers: int, items: int) -> bool:
    """Prints the medians of both launchers; returns whether their tables are equal."""
    told: dict[str, list[dict[str, float]]] = {name: [] for name in LAUNCHERS}
    same = True
    with nodes(1, workers) as cluster:
        for _ in range(given.rounds):
            with tempfile.TemporaryDirectory() as folder:
                for launcher in LAUNCHERS:
                    address = cluster.address if launcher == "ray" else ""
                    told[launcher].append(one(given, f"{folder}/{launcher}", workers, address))
                same &= equal(*(Path(folder) / launcher for launcher in LAUNCHERS))
    wall = {n: statistics.median(one["wall"] for one in each) for n, each in told.items()}
    driver = {n: statistics.median(one["driver"] for one in each) for n, each in told.items()}
    peak = {n: max(one["peak"] for one in each) for n, each in told.items()}
    cost = wall["ray"] / wall["local"] - 1
    print(f"{workers} workers: wall {wall['local']:.1f} s locally, {wall['ray']:.1f} s on Ray "
          f"({cost:+.1%}); driver {1000 * driver['local'] / items:.0f} and "
          f"{1000 * driver['ray'] / items:.0f} ms of processor time an item, "
          f"at most {peak['local']:.0f} and {peak['ray']:.0f} MiB of memory; "
          f"tables {'equal' if same else 'DIFFER'}", flush=True)  # fmt: skip
    return same


def one(given: argparse.Namespace, folder: str, workers: int, address: str) -> dict[str, float]:
    """Runs the study in a process of its own."""
    launcher = "ray" if address else "local"
    command = [sys.executable, "-m", "benchmarks.overhead", "--study", given.study,
               *(part for change in given.set for part in ("--set", change)),
               "--child", folder, launcher, str(workers), address]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def child(
    given: argparse.Namespace, folder: Path, launcher: str, workers: int, address: str
) -> dict[str, Any]:
    """Seconds of the clock and of this process for all but the analysis."""
    began, used = time.perf_counter(), own_seconds()
    with patch.object(run, "analyze", lambda *_: Outcome()):
        outcome = run_stage.run_stage(
            "run", load(given.study, given.set), folder, workers=workers, device="cpu",
            keep_images="none", launcher=launcher, address=address or None,
        )  # fmt: skip
    if outcome.failed:
        sys.exit(f"failed: {outcome.failed}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall": time.perf_counter() - began, "driver": own_seconds() - used, "peak": peak}


def own_seconds() -> float:
    """Processor seconds of this process alone."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def equal(one: Path, other: Path) -> bool:
    """Whether two run folders have the same rows, bit by bit."""
    files, others = (
        sorted(path.relative_to(run) for path in run.glob("metrics/**/*.parquet"))
        for run in (one, other)
    )
    return (
        bool(files)
        and files == others
        and all(pd.read_parquet(one / file).equals(pd.read_parquet(other / file)) for file in files)
    )


if __name__ == "__main__":
    main()
