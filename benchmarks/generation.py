"""How fast are images drawn, against diffusers' own pipeline on the same weights and noise?

    python -m benchmarks.generation [BASE_MODEL] [--images 24] [--steps 15] [--rounds 3]
        [--against TREE] [--compile]

Ours in fp32 and in bf16, and the peers: `StableDiffusionPipeline` with one prompt a call and with
25, and with `--against` a checkout of version 0.1.0 as it is. Each in a process of its own, warmed
up, taken in turns; medians over the rounds of the seconds that the process computed, which other
processes do not lengthen much, on one thread of a CPU. The largest difference of a pixel (0..255)
from the pipeline's stands beside every figure. `--compile` adds torch.compile of our U-Net, the
seconds that it took, and its graphs before and after an adapter of every algorithm was merged."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

PROMPTS = ("a red boat, beach", "a blue cat, night", "a girl, city", "a tree")
PIPELINES = {"pipeline at batch 1": 1, "pipeline at batch 25": 25}
OURS = {"ours fp32": torch.float32, "ours bf16": torch.bfloat16, "ours compiled": torch.float32}
BEFORE = "version 0.1.0"
QUIET = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "DIFFUSERS_VERBOSITY": "error"}
Draw = Callable[[], np.ndarray]


def main() -> None:
    """Prints a line for each way to draw, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", nargs="?", default=_miniature())
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=24, help="of ours and of 0.1.0's")
    parser.add_argument("--guidance", type=float, default=4.0)
    parser.add_argument("--against", type=Path, metavar="TREE", help="a checkout of 0.1.0")
    parser.add_argument("--compile", action="store_true", help="torch.compile of our U-Net too")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--pixels", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given)
        return
    names = [*PIPELINES, *OURS] if given.compile else [*PIPELINES, *list(OURS)[:2]]
    names += [BEFORE] if given.against else []
    with tempfile.TemporaryDirectory() as folder:
        compare({name: Server(name, given, Path(folder)) for name in names}, given)


class Server:
    """A process that draws when it is told to."""

    def __init__(self, name: str, given: argparse.Namespace, folder: Path) -> None:
        tree = given.against if name == BEFORE else Path(__file__).parents[1]
        self.pixels = folder / f"{name}.npy"
        environment = {**os.environ, **QUIET, "PYTHONPATH": str(Path(tree).resolve())}
        options = {key: str(getattr(given, key))
                   for key in ("images", "steps", "size", "batch", "guidance")}  # fmt: skip
        typed = [part for key, value in options.items() for part in (f"--{key}", value)]
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, str(Path(given.base).resolve()), *typed,
             "--serve", name, "--pixels", str(self.pixels)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            cwd=folder,
        )  # fmt: skip
        self.first = self.draw()  # which is not counted

    def draw(self) -> dict[str, Any]:
        """Draws all images once: the seconds, and what else is reported."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("draw\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self) -> dict[str, Any]:
        """Ends the process: what it says at last."""
        return json.loads(self.process.communicate("end\n")[0] or "{}")


def compare(servers: dict[str, Server], given: argparse.Namespace) -> None:
    """Takes the servers in turns and prints what they reached."""
    from lycoris_bench.run.environment import device, device_name

    print(f"{device_name(device())}, torch {torch.__version__}, one thread, {given.images} images "
          f"of {given.size}, {given.steps} steps, guidance {given.guidance}, batches of "
          f"{given.batch}")  # fmt: skip
    times: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(given.rounds):
        for name, server in servers.items():
            times[name].append(server.draw()["seconds"])
    seconds = {name: statistics.median(each) for name, each in times.items()}
    expected = np.load(servers["pipeline at batch 25"].pixels).astype(int)
    peers = [*PIPELINES, *([BEFORE] if BEFORE in servers else [])]
    for name, server in servers.items():
        moved = np.abs(np.load(server.pixels).astype(int) - expected)
        ratios = "; ".join(f"{seconds[peer] / seconds[name]:.2f}x {peer}" for peer in peers)
        print(f"{name}: {given.images / seconds[name]:.2f} images/s"
              f"{f'; {ratios}' if name in OURS else ''}; differs by {moved.max()} levels at most, "
              f"{moved.mean():.3f} on average"
              f"{told(server.first, server.end()) if name == 'ours compiled' else ''}")  # fmt: skip


def told(first: dict[str, Any], last: dict[str, Any]) -> str:
    """What compiling took, and the graphs of the U-Net before and after merging."""
    return (f"; first images after {first['seconds']:.0f} s; {first['graphs']} graphs, and "
            f"{last['graphs']} after adapters of {last['kinds']} algorithms")  # fmt: skip


def serve(given: argparse.Namespace) -> None:
    """Draws at each line of input, and answers with the seconds that it computed."""
    torch.set_num_threads(1)
    where = "cuda" if torch.cuda.is_available() else "cpu"
    clock = time.process_time if where == "cpu" else time.perf_counter
    if given.serve in PIPELINES:
        draw, last = pipeline(given, where), dict
    elif given.serve == BEFORE:
        draw, last = before(given, where), dict
    else:
        draw, last = ours(given, where)
    for line in sys.stdin:
        if line.strip() == "end":
            print(json.dumps(last()), flush=True)
            return
        start = clock()
        pixels = draw()
        spent = clock() - start
        np.save(given.pixels, pixels)
        answer = {
            "seconds": spent,
            "graphs": torch._dynamo.utils.counters["stats"]["unique_graphs"],
        }
        print(json.dumps(answer), flush=True)


def asked(given: argparse.Namespace) -> tuple[list[str], list[int]]:
    """Prompts and seeds."""
    return (list(PROMPTS) * given.images)[: given.images], list(range(given.images))


def pipeline(given: argparse.Namespace, where: str) -> Draw:
    """diffusers' own, from the noise of the same seeds."""
    import diffusers

    made = diffusers.StableDiffusionPipeline.from_pretrained(given.base, safety_checker=None)
    made.to(where, torch.float32).set_progress_bar_config(disable=True)
    scale, channels = 2 ** (len(made.vae.config.block_out_channels) - 1), 4
    shape = (channels, given.size // scale, given.size // scale)
    (prompts, seeds), rows = asked(given), PIPELINES[given.serve]

    def draw() -> np.ndarray:
        parts = []
        for k in range(0, given.images, rows):
            noise = [torch.randn(shape, generator=torch.Generator().manual_seed(seed))
                     for seed in seeds[k : k + rows]]  # fmt: skip
            parts.append(made(
                prompts[k : k + rows], latents=torch.stack(noise).to(where), output_type="np",
                num_inference_steps=given.steps, guidance_scale=given.guidance,
            ).images)  # fmt: skip
        return (np.concatenate(parts) * 255).round().astype(np.uint8)

    return draw


def before(given: argparse.Namespace, where: str) -> Draw:
    """Version 0.1.0 as it drew the images of a study."""
    from lycoris_bench.diffusion.backbone import Backbone  # of that version
    from lycoris_bench.diffusion.sample import sample

    return in_batches(sample, Backbone.load(given.base, device=where), given)


def ours(given: argparse.Namespace, where: str) -> tuple[Draw, Callable[[], dict[str, Any]]]:
    """As this version draws the images of a study; and at last, merges of all algorithms."""
    from lycoris_bench.models.backbone import Backbone
    from lycoris_bench.sampling.prepared import optimize_for_inference
    from lycoris_bench.sampling.sample import sample

    compiled = given.serve == "ours compiled"
    backbone = Backbone.load(given.base, device=where, dtype=OURS[given.serve])
    draw = in_batches(sample, optimize_for_inference(backbone, compiled), given)
    return draw, lambda: merged(backbone, draw) if compiled else {}


def merged(backbone: Any, draw: Draw) -> dict[str, Any]:
    """Merges an adapter of every algorithm and draws: the graphs that there are then."""
    from lycoris_bench.adapters.algorithms import ALGORITHMS
    from lycoris_bench.adapters.attach import attach
    from lycoris_bench.adapters.merge import Merger

    adapters = []
    for name in ALGORITHMS.entries():
        options = {"dim": 24} if name == "boft" else {}  # the miniature's widths have no smaller
        network = attach(backbone.unet, None, "attn-only", name, options, seed=1)
        adapters.append(network.tensors())
        network.detach()
    merger = Merger(backbone.unet, backbone.text_encoders)
    for tensors in adapters:
        merger.merge(tensors)
        draw()
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    return {"graphs": graphs, "kinds": len(adapters)}


def in_batches(sample: Callable[..., Any], backbone: Any, given: argparse.Namespace) -> Draw:
    """Draws all images, as a study does."""
    prompts, seeds = asked(given)
    how = {"steps": given.steps, "guidance": given.guidance,
           "width": given.size, "height": given.size}  # fmt: skip

    def draw() -> np.ndarray:
        return np.concatenate([
            sample(backbone, prompts[k : k + given.batch], seeds[k : k + given.batch], **how).pixels
            for k in range(0, given.images, given.batch)
        ])  # fmt: skip

    return draw


def _miniature() -> str:
    package = find_spec("lycoris_bench")
    assert package is not None and package.origin is not None
    return str(Path(package.origin).parent / "miniature" / "weights" / "base")


if __name__ == "__main__":
    main()
