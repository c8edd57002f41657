"""Does one process that trains several configurations at once fill a CPU better than one each?

    python -m benchmarks.together [--study configs/demo.toml] [--configurations lora,full]
        [--steps 30]

Ways, alternated: a process for each configuration, of one thread, as the local launcher has; and
one process that trains them at the same time on threads of its own, with the base model loaded once
and the same batches. Printed: steps a second of all together, on the clock, so nothing else may
run; what each way holds in memory; and whether the losses are the same."""

import argparse
import importlib
import json
import resource
import statistics
import subprocess
import sys
import threading
import time
from typing import Any

from benchmarks.training import Enough, modules

WAYS = ("processes", "threads")
ROUNDS = 3


def main() -> None:
    """Prints a line for each way, or is a child that trains."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--study", default="package:configs/demo.toml")
    parser.add_argument("--configurations", default="lora,full")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    names = given.configurations.split(",")
    if given.child:
        print(json.dumps(trained(given.study, names, given.steps)))
        return
    told: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        told["processes"].append(joined(children(given, [[name] for name in names])))
        told["threads"].append(joined(children(given, [names])))
    rates = {way: statistics.median(one["rate"] for one in each) for way, each in told.items()}
    for way, each in told.items():
        print(f"{way:>10}: {rates[way]:.2f} steps/s of {len(names)} configurations together, "
              f"{each[0]['peak']} MiB")  # fmt: skip
    same = all(one["losses"] == told["processes"][0]["losses"] for one in told["threads"])
    print(f"threads / processes: {rates['threads'] / rates['processes']:.2f}x; losses "
          f"{'equal' if same else 'differ'}")  # fmt: skip


def children(given: argparse.Namespace, groups: list[list[str]]) -> list[dict[str, Any]]:
    """What a process for each group says, all begun at once."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.together", "--child", "--study", given.study,
             "--steps", str(given.steps), "--configurations", ",".join(group)],
            stdout=subprocess.PIPE, text=True,
        ) for group in groups
    ]  # fmt: skip
    return [json.loads(one.communicate()[0].splitlines()[-1]) for one in started]


def joined(said: list[dict[str, Any]]) -> dict[str, Any]:
    """Steps a second of all, their memory, and the losses by configuration."""
    return {
        "rate": sum(one["rate"] for one in said),
        "peak": sum(one["peak"] for one in said),
        "losses": {name: losses for one in said for name, losses in one["losses"].items()},
    }


def trained(study: str, names: list[str], steps: int) -> dict[str, Any]:
    """Trains some configurations at the same time; the rate is of the steps after the third."""
    parts = modules(plain=False)
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    plan = parts["plan"](parts["load"](study))
    settings = plan.study.settings
    losses: dict[str, list[float]] = {name: [] for name in names}
    spans: dict[str, list[float]] = {name: [] for name in names}
    ready = threading.Barrier(len(names))

    def train(name: str) -> None:
        torch.set_num_threads(1)
        (configuration,) = [one for one in plan.study.configurations if one.name == name]
        backbone = parts["backbone"](settings.base_model, "cpu")
        latents = parts["latents"].encode(backbone, plan.data, settings.training)
        network = parts["attach"](
            backbone.unet, backbone.text_encoders, plan.study.preset(configuration),
            configuration.algorithm, configuration.keywords, 23,
        )  # fmt: skip

        def step(done: int, total: int, loss: float) -> None:
            losses[name].append(float(loss))
            if len(losses[name]) == 3:
                ready.wait()
            spans[name].append(time.perf_counter())
            if len(spans[name]) == steps + 3:
                raise Enough

        try:
            parts["train"](
                backbone, network, plan.data, latents, settings.training, seed=23,
                epochs=[10_000], lr=configuration.lr, on_epoch=lambda *_: None, on_step=step,
            )  # fmt: skip
        except Enough:
            return

    threads = [threading.Thread(target=train, args=(name,)) for name in names]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    rate = sum(steps / (times[-1] - times[2]) for times in spans.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"rate": rate, "peak": peak, "losses": losses}


if __name__ == "__main__":
    main()
