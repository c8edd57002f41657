"""How fast is a training step on a CPU, against the plain way or an older version of this package?

    python benchmarks/training.py [--study configs/demo.toml] [--configurations lora,loha,lokr,full]
        [--steps 24] [--against TREE]

Peer: the same study trained in a process of its own by the package in TREE, a checkout of another
version; without it by this one, each adapted weight made by its definition. Both make the same
steps of the same batches on one thread, three at a time and in turns. Times are CPU seconds, which
other processes do not lengthen much; medians, and the median of the ratios. The largest difference
between the losses of a step stands beside every ratio, and the peak of resident memory."""

import argparse
import contextlib
import importlib
import importlib.util
import json
import operator
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TURN = 3  # steps


def main() -> None:
    """Prints a line for each configuration, or is the child that trains one."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--study", default=str(ROOT / "configs" / "demo.toml"))
    parser.add_argument("--configurations", default="lora,loha,lokr,full")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--against", help="checkout of another version")
    parser.add_argument("--child", choices=("quick", "plain"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.study, given.configurations, given.child == "plain")
        return
    peer = f"version in {given.against}" if given.against else "plain way"
    print(f"{platform.processor() or platform.machine()}, one thread; {Path(given.study).name}, "
          f"{given.steps} steps; peer: {peer}")  # fmt: skip
    for name in given.configurations.split(","):
        print(compared(given, name), flush=True)


def compared(given: argparse.Namespace, name: str) -> str:
    """The line of one configuration."""
    trees = (ROOT, Path(given.against or ROOT))
    ways = ("quick", "quick" if given.against else "plain")
    both = [Child(tree, way, given.study, name) for tree, way in zip(trees, ways, strict=True)]
    turns: list[list[float]] = [[], []]
    losses: list[list[float]] = [[], []]
    peaks: dict[Child, int] = {}
    for number in range(1 + max(1, given.steps // TURN)):
        for one, times, seen in zip(both, turns, losses, strict=True):
            told = one.steps(TURN)
            if number:  # the first is not counted
                times.append(told["seconds"] / TURN)
            seen += told["losses"]
            peaks[one] = told["peak"]
    for one in both:
        one.close()
    ratio = statistics.median(theirs / mine for mine, theirs in zip(*turns, strict=True))
    apart = max(abs(a - b) / b for a, b in zip(*losses, strict=True))
    mine, theirs = (1000 * statistics.median(times) for times in turns)
    return (f"{name:>16}: {mine:.0f} ms a step, peer {theirs:.0f} ms: {ratio:.2f}x; losses differ "
            f"by at most {apart:.1e} of themselves; "
            f"peak {peaks[both[0]]} MiB, peer {peaks[both[1]]} MiB")  # fmt: skip


class Child:
    """A process that trains one configuration, some steps at a time."""

    def __init__(self, tree: Path, way: str, study: str, name: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, "--child", way, "--study", study,
                   "--configurations", name]  # fmt: skip
        self.process = subprocess.Popen(
            command, cwd=tree, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def steps(self, count: int) -> dict[str, Any]:
        """CPU seconds and losses of the next steps, and the peak of memory so far."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        """Ends the process."""
        self.process.communicate("0\n")


class Enough(Exception):
    """The parent wants no more steps."""


def child(study: str, name: str, plain: bool) -> None:
    """Trains as the package on the path does, and waits for a number of steps before each turn."""
    parts = modules(plain)
    import torch

    torch.set_num_threads(1)
    plan = parts["plan"](parts["load"](study))
    settings = plan.study.settings
    (configuration,) = [one for one in plan.study.configurations if one.name == name]
    backbone = parts["backbone"](settings.base_model, "cpu")
    latents = parts["latents"].encode(backbone, plan.data, settings.training)
    network = parts["attach"](
        backbone.unet, backbone.text_encoders, plan.study.preset(configuration),
        configuration.algorithm, configuration.keywords, 23,
    )  # fmt: skip
    left, losses = int(sys.stdin.readline()), []
    started = time.process_time()

    def step(done: int, total: int, loss: float) -> None:
        nonlocal left, losses, started
        left -= 1
        losses.append(float(loss))
        if not left:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            told = {"seconds": time.process_time() - started, "losses": losses, "peak": peak}
            print(json.dumps(told), flush=True)
            left, losses = int(sys.stdin.readline()), []
            if not left:
                raise Enough
            started = time.process_time()

    with contextlib.suppress(Enough):
        parts["train"](
            backbone, network, plan.data, latents, settings.training, seed=23, epochs=[10_000],
            lr=configuration.lr, on_epoch=lambda *_: None, on_step=step,
        )  # fmt: skip


def modules(plain: bool) -> dict[str, Any]:
    """What trains, of this version or of 0.1.0, whose modules have other names."""
    package: Any = importlib.import_module
    if importlib.util.find_spec("lycoris_bench.training") is None:
        names = {
            "plan": "plan:plan", "load": "study:load", "backbone": "train:_backbone",
            "latents": "diffusion.latents:LatentCache", "attach": "adapters.network:attach",
            "train": "diffusion.loop:train",
        }  # fmt: skip
    else:
        names = {
            "plan": "planning.plan:plan", "load": "study.load:load",
            "backbone": "stages.fine_tuning:_backbone",
            "latents": "training.latents:LatentCache", "attach": "adapters.attach:attach",
            "train": "training.loop:train",
        }  # fmt: skip
        if plain:
            names["backbone"] = "models.backbone:Backbone.load"
    if plain:
        package("lycoris_bench.adapters.layer_forward").fewer = lambda *_: False
        for algorithm in ("lora:LoRA", "full:Full"):
            module, _, kind = algorithm.partition(":")
            place = package(f"lycoris_bench.adapters.algorithms.{module}")
            getattr(place, kind).moved = lambda *_: None
    found: dict[str, Any] = {}
    for key, place in names.items():
        module, _, inside = place.partition(":")
        found[key] = operator.attrgetter(inside)(package(f"lycoris_bench.{module}"))
    return found


if __name__ == "__main__":
    main()
