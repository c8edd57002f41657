"""Does one process that trains two configurations of one base model fill two cores better than two
processes do?

    python -m benchmarks.trainings_at_once [--study configs/demo.toml] [--configurations lora,lokr]
        [--steps 24]

Each configuration is trained on one thread of torch, alone, in two processes, and in two threads of
one process that share the loaded base model's weights; steps are those of benchmarks/training.py.
Numbers are steps a second of the clock, of both together, so it wants two idle cores; `memory` is
the peak of all processes."""

import argparse
import copy
import dataclasses
import json
import os
import resource
import subprocess
import sys
import threading
import time
from typing import Any

from benchmarks.training import ROOT, Enough, modules

WARM = 4  # steps that are not counted


def main() -> None:
    """Prints a line for each way, or is a process that trains."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--study", default=str(ROOT / "configs" / "demo.toml"))
    parser.add_argument("--configurations", default="lora,lokr")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    names = given.configurations.split(",")
    if given.child:
        print(json.dumps(trained(given.study, names, given.steps)))
        return
    for said, groups in (
        ("alone, one after the other", [[name] for name in names]),
        ("a process each", [names[:1], names[1:]]),
        ("threads of one process", [names]),
    ):
        at_once = said != "alone, one after the other"
        print(
            line(said, measured(given, groups, at_once), len(names) if at_once else 1), flush=True
        )


def measured(given: argparse.Namespace, groups: list[list[str]], at_once: bool) -> list[Any]:
    """What each process told; a process for each group of configurations."""
    running: list[subprocess.Popen[str]] = []
    told = []
    for group in groups:
        command = [sys.executable, "-m", "benchmarks.trainings_at_once", "--child",
                   "--study", given.study, "--configurations", ",".join(group),
                   "--steps", str(given.steps)]  # fmt: skip
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        running.append(
            subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE)
        )
        if not at_once:
            told.append(json.loads(running.pop().communicate()[0]))
    return told + [json.loads(one.communicate()[0]) for one in running]


def line(said: str, told: list[Any], cores: int) -> str:
    """Of one way: steps a second of all configurations together."""
    rates = [rate for one in told for rate in one["rates"]]
    rate = sum(rates) if cores > 1 else sum(rates) / len(rates)
    memory = sum(one["peak"] for one in told) if cores > 1 else max(one["peak"] for one in told)
    return f"{said:>28}: {rate:.2f} steps/s, memory {memory} MiB"


def trained(study: str, names: list[str], steps: int) -> dict[str, Any]:
    """Trains the configurations, each in a thread of its own; steps a second of each."""
    parts = modules(plain=False)
    import torch

    torch.set_num_threads(1)
    plan = parts["plan"](parts["load"](study))
    settings = plan.study.settings
    backbone = parts["backbone"](settings.base_model, "cpu")
    latents = parts["latents"].encode(backbone, plan.data, settings.training)
    weights = {id(p): p for p in backbone.unet.parameters()}  # which the copies share
    rates: dict[str, float] = {}
    ready = threading.Barrier(len(names))

    def one(name: str) -> None:
        own = dataclasses.replace(
            backbone,
            unet=copy.deepcopy(backbone.unet, dict(weights)),
            text_encoders=copy.deepcopy(backbone.text_encoders),
        )
        (configuration,) = [c for c in plan.study.configurations if c.name == name]
        network = parts["attach"](
            own.unet, own.text_encoders, plan.study.preset(configuration),
            configuration.algorithm, configuration.keywords, 23,
        )  # fmt: skip
        times: list[float] = []

        def step(done: int, total: int, loss: float) -> None:
            if len(times) == WARM:
                ready.wait()
            times.append(time.perf_counter())
            if len(times) == WARM + steps:
                raise Enough

        try:
            parts["train"](
                own, network, plan.data, latents, settings.training, seed=23, epochs=[10_000],
                lr=configuration.lr, on_epoch=lambda *_: None, on_step=step,
            )  # fmt: skip
        except Enough:
            rates[name] = (len(times) - WARM - 1) / (times[-1] - times[WARM])

    threads = [threading.Thread(target=one, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"rates": list(rates.values()), "peak": peak}


if __name__ == "__main__":
    main()
