"""What does a training step of each configuration cost at Stable Diffusion's scale, and an image?

    python -m benchmarks.sd15 --device cuda                  # full width, the table of docs/cost.md
    python -m benchmarks.sd15 --narrow                       # the same code on a CPU, in minutes

Weights are random: they do not matter to time and memory, and nothing is downloaded. Prints
markdown. Time is the median of `--rounds` steps after one that is not counted; memory is the peak
that torch allocated on a GPU, resident memory on a CPU."""

import argparse
import platform
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import diffusers
import torch

from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.data.dataset import Dataset, Example
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.run import environment
from lycoris_bench.sampling.prepared import optimize_for_inference
from lycoris_bench.sampling.sample import sample
from lycoris_bench.study import load as studies
from lycoris_bench.study.records import Concept, Configuration
from lycoris_bench.study.settings import Training
from lycoris_bench.training.latents import LatentCache
from lycoris_bench.training.modes import gradient_checkpointing, trainable_only
from lycoris_bench.training.optimizer import available
from lycoris_bench.training.run import DTYPES, TrainingRun
from tests.support.random_models import FULL, parts

STEPS = 34_750  # of the paper's trainings: 695 an epoch, 50 epochs
CAPTION = ", ".join(["olis girl"] + ["a tag of two words"] * 16)  # two chunks, as the paper's


class Cost(NamedTuple):
    """Of one configuration: trained layers and numbers, bytes of its file, seconds, peak bytes."""

    layers: int
    parameters: int
    size: int
    seconds: float
    memory: int


def main() -> None:
    """Prints the machine, a row for each configuration, and the images."""
    given = arguments()
    torch.set_num_threads(given.threads or torch.get_num_threads())
    device = environment.device(given.device)
    study = studies.load(given.study)
    wanted = {"batch_size": given.batch, "images_per_class": given.batch, "warmup_epochs": 0,
              "gradient_checkpointing": given.checkpointing}  # fmt: skip
    training = Training(**{**study.settings.training.model_dump(), **wanted})
    print(machine(device, given, training), end="\n\n", flush=True)
    backbone = Backbone.of(parts(given.family, given.narrow), device)
    print("| configuration | layers | parameters | fp16 file, MB | s a step | "
          f"h for {STEPS} steps | peak, GiB |\n|---|---|---|---|---|---|---|")  # fmt: skip
    for configuration in study.configurations[: given.limit]:
        preset = study.preset(configuration)
        cost = measured(backbone, configuration, preset, training, given)
        print(f"| {configuration.name} | {cost.layers} | {cost.parameters} | "
              f"{cost.size / 1e6:.2f} | {cost.seconds:.3f} | "
              f"{'-' if given.narrow else f'{cost.seconds * STEPS / 3600:.1f}'} | "
              f"{cost.memory / 2**30:.2f} |", flush=True)  # fmt: skip
    del backbone
    print(f"\n{drawn(device, given)}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    paper = Path(__file__).parent.parent / "configs" / "paper.toml"
    parser.add_argument("--study", default=str(paper), help="whose configurations are measured")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--family", default="sd15", choices=list(FULL))
    parser.add_argument("--narrow", action="store_true", help="a twentieth of the width or so")
    parser.add_argument("--limit", type=int, help="only the first configurations")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=512, help="pixels along a side")
    parser.add_argument("--checkpointing", action="store_true", help="activations made again")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--steps", type=int, default=25, help="of drawing")
    parser.add_argument("--precision", default="fp16", choices=list(DTYPES), help="of drawing")
    parser.add_argument("--compile", action="store_true", help="torch.compile for drawing")
    parser.add_argument("--threads", type=int)
    return parser.parse_args()


def machine(device: str, given: argparse.Namespace, training: Training) -> str:
    """Everything beside the code that a number depends on."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.machine()
    width = "narrowed" if given.narrow else "full width"
    return (
        f"{name}, torch {torch.__version__}, diffusers {diffusers.__version__}, "
        f"{torch.get_num_threads()} threads; {given.family}, {width}, random weights; batches of "
        f"{given.batch} at {given.size} x {given.size}, two chunks of text, {training.precision}, "
        f"{available(training.optimizer, device)}, "
        f"{'with' if given.checkpointing else 'without'} gradient checkpointing"
    )


def measured(
    backbone: Backbone, configuration: Configuration, preset: Any, training: Training,
    given: argparse.Namespace,
) -> Cost:  # fmt: skip
    """Trains a fresh adapter a few steps on random latents."""
    network = attach(
        backbone.unet, backbone.text_encoders, preset, configuration.algorithm,
        configuration.keywords, 23,
    )  # fmt: skip
    if backbone.device.type == "cuda":
        torch.cuda.empty_cache()
    times = []
    with (
        trainable_only(network, backbone) as parameters,
        gradient_checkpointing(backbone, training.gradient_checkpointing),
    ):
        data, latents = world(backbone, given)
        run = TrainingRun(
            backbone, network, data, latents, training, 23, configuration.lr, parameters
        )
        for step in range(1 + given.rounds):
            start = time.perf_counter()
            run.train_step(1, step, run.groups(1)[0])
            if backbone.device.type == "cuda":
                torch.cuda.synchronize(backbone.device)
            times.append(time.perf_counter() - start)
    peak = run.meter.peak_memory
    if backbone.device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(backbone.device)
    size = len(adapter_file.to_bytes(network.tensors(), {}))
    network.detach()
    return Cost(network.modules_matched, network.parameter_count, size,
                statistics.median(times[1:]), peak)  # fmt: skip


def world(backbone: Backbone, given: argparse.Namespace) -> tuple[Dataset, LatentCache]:
    """One batch of random latents with long captions."""
    size, concept = (given.size, given.size), Concept("random", "latents")
    examples = tuple(Example(Path(f"{k}.png"), CAPTION, concept, size, "")
                     for k in range(given.batch))  # fmt: skip
    side = given.size // backbone.vae_scale
    draw = torch.Generator().manual_seed(0)
    latents = tuple(torch.randn(4, side, side, generator=draw) for _ in examples)
    return Dataset(examples), LatentCache(latents, (size,) * len(examples))


def drawn(device: str, given: argparse.Namespace) -> str:
    """One batch of images, after one that is not counted."""
    backbone = Backbone.of(parts(given.family, given.narrow), device, DTYPES[given.precision])
    optimize_for_inference(backbone, given.compile)
    how = {"steps": given.steps, "guidance": 7.0, "width": given.size, "height": given.size}
    prompts = [f"{CAPTION[:60]}, {k}" for k in range(given.images)]
    seconds = 0.0
    for _ in range(2):
        if device.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats(device)
        start = time.perf_counter()
        made = sample(backbone, prompts, range(given.images), **how)
        seconds = time.perf_counter() - start
    memory = (
        f", peak {torch.cuda.max_memory_allocated(device) / 2**30:.2f} GiB"
        if device.startswith("cuda") else ""
    )  # fmt: skip
    return (
        f"{given.images} images of {given.size} x {given.size} in one batch, {given.steps} steps, "
        f"guidance 7, {given.precision}{', compiled' if given.compile else ''}: "
        f"{seconds:.2f} s, {given.images / seconds:.3f} images/s{memory}, "
        f"{int(made.finite.sum())} of {given.images} finite"
    )


if __name__ == "__main__":
    main()
