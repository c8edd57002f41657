"""Training: states, repeatability, what a step costs and where it goes."""

import contextlib
import math
import statistics
import time
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.gpu_checks.context import Context, Skipped, that
from lycoris_bench.adapters.attach import attach
from lycoris_bench.data.dataset import Dataset, Example
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.study.records import Concept
from lycoris_bench.study.settings import Training
from lycoris_bench.training import loop
from lycoris_bench.training.latents import LatentCache

CAPTION = ", ".join(["olis girl"] + ["a tag of two words"] * 16)  # two chunks, as the paper's


class Trained(NamedTuple):
    """The adapter's tensors, seconds and loss of each step, and the states in between."""

    tensors: dict[str, Tensor]
    seconds: list[float]
    losses: list[float]
    states: list[bytes]

    @property
    def step(self) -> float:
        """Seconds of a step, the first two left out."""
        return statistics.median(self.seconds[2:] or self.seconds)


def trained(
    context: Context, backbone: Backbone, steps: int, algorithm: str = "lora",
    layers: str = "attn-mlp", options: Mapping[str, Any] | None = None,
    resume: bytes | None = None, keeps: bool = False, **settings: Any,
) -> Trained:  # fmt: skip
    """Trains an adapter on one batch of random latents, which is an epoch, for so many epochs."""
    network = attach(
        backbone.unet, backbone.text_encoders, layers, algorithm, options or {}, seed=23
    )
    seconds: list[float] = []
    losses: list[float] = []
    states: list[bytes] = []
    wanted = {"batch_size": context.batch, "images_per_class": context.batch, "warmup_epochs": 0,
              "precision": "bf16", "resolution": context.size, "bucket_min": context.size,
              "bucket_max": context.size, **settings}  # fmt: skip
    start = time.perf_counter()

    def stepped(done: int, total: int, loss: float) -> None:
        nonlocal start
        context.wait()
        seconds.append(time.perf_counter() - start)
        losses.append(float(loss))
        start = time.perf_counter()

    try:
        loop.train(
            backbone, network, *world(context, backbone), Training(**wanted), seed=23,
            epochs=[steps], lr=1e-4, on_epoch=lambda *_: None, on_step=stepped,
            on_state=states.append if keeps else None, state_seconds=0.0, resume=resume,
            identity="gpu",
        )  # fmt: skip
        tensors = {name: value.detach().cpu() for name, value in network.tensors().items()}
    finally:
        network.detach()
    that(all(map(math.isfinite, losses)), f"losses {losses} are not finite")
    return Trained(tensors, seconds, losses, states)


def world(context: Context, backbone: Backbone) -> tuple[Dataset, LatentCache]:
    """One batch of random latents with long captions."""
    size, concept = (context.size, context.size), Concept("random", "latents")
    examples = tuple(Example(Path(f"{k}.png"), CAPTION, concept, size, "")
                     for k in range(context.batch))  # fmt: skip
    side = context.size // backbone.vae_scale
    draw = torch.Generator().manual_seed(0)
    latents = tuple(torch.randn(4, side, side, generator=draw) for _ in examples)
    return Dataset(examples), LatentCache(latents, (size,) * len(examples))


def differing(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> int:
    """How many tensors are not equal bit by bit."""
    that(a.keys() == b.keys(), "the tensors have other names")
    return sum(not torch.equal(value, b[name]) for name, value in a.items())


@contextlib.contextmanager
def deterministic(strict: bool) -> Iterator[None]:
    """torch's deterministic algorithms, or none of that."""
    before = torch.backends.cudnn.deterministic
    torch.use_deterministic_algorithms(strict)
    torch.backends.cudnn.deterministic = strict
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = before


def eight_bit_state(context: Context) -> Iterator[str]:
    """AdamW with 8-bit moments is saved at each step, and goes on from what was saved."""
    if context.cuda and not find_spec("bitsandbytes"):
        raise Skipped("bitsandbytes is not installed")
    backbone = context.backbone(narrow=True)
    how = {"optimizer": "adamw8bit"}
    with deterministic(True):
        whole = trained(context, backbone, 4, **how)
        half = trained(context, backbone, 2, keeps=True, **how)
        rest = trained(context, backbone, 4, resume=half.states[-1], **how)
    count = differing(whole.tensors, rest.tensors)
    yield (f"state of {len(half.states[-1]) / 1e6:.2f} MB; {count} of {len(whole.tensors)} "
           "tensors differ after resuming")  # fmt: skip
    that(count == 0, "a resumed training differs from one that was not stopped")


def repeats(context: Context) -> Iterator[str]:
    """Twice the same training, and one that is resumed: with torch's own choice of kernels (a
    figure) and with deterministic ones (which must agree)."""
    backbone = context.shared()
    for strict in (False, True):
        with deterministic(strict):
            first, again = (trained(context, backbone, 4) for _ in range(2))
            half = trained(context, backbone, 2, keeps=True)
            rest = trained(context, backbone, 4, resume=half.states[-1])
        counts = [differing(first.tensors, other.tensors) for other in (again, rest)]
        yield (f"{'deterministic' if strict else 'default'} kernels: {counts[0]} tensors differ "
               f"when repeated and {counts[1]} when resumed, of {len(first.tensors)}; "
               f"{first.step * 1e3:.0f} ms a step")  # fmt: skip
        that(not strict or counts == [0, 0], "deterministic kernels do not repeat")


def steps(context: Context) -> Iterator[str]:
    """What a step costs, by algorithm, optimizer and precision."""
    backbone = context.shared()
    count = 3 if context.narrow else 7
    cases: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
        ("lora", "attn-mlp", {}, {}),
        ("lora", "attn-mlp", {}, {"optimizer": "adamw8bit"}),
        ("lora", "attn-mlp", {}, {"precision": "fp16"}),
        ("lora", "attn-mlp", {}, {"precision": "fp32"}),
        ("lora", "attn-only", {}, {}),  # the text encoder's other layers are frozen
        ("lora", "full", {}, {}),
        ("loha", "attn-mlp", {"dim": 4, "alpha": 2}, {}),
        ("lokr", "attn-mlp", {"factor": 8}, {}),
        ("full", "attn-mlp", {}, {}),
        ("diag-oft", "attn-mlp", {"dim": 8}, {}),
    ]
    for algorithm, layers, options, settings in cases:
        eight = settings.get("optimizer") == "adamw8bit"
        if settings.get("precision") == "fp16" and not context.cuda:
            continue
        if eight and context.cuda and not find_spec("bitsandbytes"):
            yield "adamw8bit: left out, bitsandbytes is not installed"
            continue
        found, peak = context.peak(partial(
            trained, context, backbone, count, algorithm, layers, options, **settings
        ))  # fmt: skip
        about = ", ".join(settings.values()) or "bf16, adamw"
        yield (f"{algorithm} {layers}, {about}: {found.step * 1e3:.1f} ms a step, "
               f"{1 / found.step:.2f} steps/s, peak {peak:.1f} GiB")  # fmt: skip


def profile(context: Context) -> Iterator[str]:
    """The GPU's share of the time of some steps, its waits and its longest kernels."""
    backbone = context.shared()
    trained(context, backbone, 2)
    kinds = torch.profiler.ProfilerActivity
    with torch.profiler.profile(activities=[kinds.CUDA if context.cuda else kinds.CPU]) as profiler:
        found = trained(context, backbone, 4 if context.cuda else 1)
    rows = profiler.key_averages()
    wall = sum(found.seconds)
    kind = "device" if context.cuda else "cpu"

    def spent(row: Any) -> float:
        return float(getattr(row, f"self_{kind}_time_total")) / 1e6

    busy = sum(map(spent, rows)) / wall
    waits = sum(row.count for row in rows if "Synchronize" in row.key)
    launches = sum(row.count for row in rows if "LaunchKernel" in row.key)
    yield (f"{kind} busy {busy:.0%} of {wall:.2f} s of {len(found.seconds)} steps, "
           f"{waits} waits, {launches} launches")  # fmt: skip
    for row in sorted(rows, key=lambda row: -spent(row))[:8]:
        yield f"{spent(row) / len(found.seconds) * 1e3:8.2f} ms a step  {row.key[:90]}"


def checkpointing(context: Context) -> Iterator[str]:
    """Activations that are made again give the same adapter, in less memory."""
    backbone = context.shared()
    found = {}
    with deterministic(True):
        for again in (False, True):
            found[again] = context.peak(
                lambda again=again: trained(context, backbone, 2, gradient_checkpointing=again)
            )
    count = differing(found[False][0].tensors, found[True][0].tensors)
    yield (f"peak {found[False][1]:.1f} GiB without and {found[True][1]:.1f} GiB with it; "
           f"{count} tensors differ")  # fmt: skip
    that(count == 0, "gradient checkpointing changes the adapter")
