"""torch.compile: seconds to start, the rate, and that switching adapters recompiles nothing."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch._dynamo.utils import counters

from benchmarks.gpu_checks.context import Context, Skipped, that
from benchmarks.gpu_checks.drawing import draw, levels
from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.merge import Merger
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.sampling.prepared import optimize_for_inference

ALGORITHMS = {"lora": {}, "loha": {"dim": 4}, "lokr": {"factor": 8}, "full": {}}
CACHE = Path(tempfile.gettempdir()) / "lycoris-bench-compiled"


def random_adapter(backbone: Backbone, algorithm: str, options: Mapping[str, object] | None = None,
                   scale: float = 0.01) -> dict[str, Tensor]:  # fmt: skip
    """The tensors of an adapter that changes the U-Net a little, on the CPU."""
    network = attach(backbone.unet, backbone.text_encoders, "attn-mlp", algorithm, options or {})
    draw_from = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=draw_from) * scale
            parameter.add_(noise.to(parameter))
    tensors = {name: value.detach().float().cpu() for name, value in network.tensors().items()}
    network.detach()
    return tensors


def switches_without_recompiling(context: Context) -> Iterator[str]:
    """The compiled U-Net draws base, merged adapters of each kind, and base again."""
    shutil.rmtree(CACHE, ignore_errors=True)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(CACHE)
    backbone = context.backbone(context.half)
    eager = draw(context, optimize_for_inference(backbone), context.batch)
    if context.cuda:
        optimize_for_inference(backbone, True)
    else:  # inductor takes minutes on a CPU: this counts graphs, and says nothing of speed
        backbone.unet.compile(dynamic=False, backend="eager")
    counters.clear()
    _, seconds = context.timed(lambda: draw(context, backbone, context.batch))
    yield f"compiling and the first batch: {seconds:.1f} s"
    base, seconds = context.timed(lambda: draw(context, backbone, context.batch))
    rate = context.batch / seconds
    yield (f"compiled, batch {context.batch}: {rate:.2f} images/s{context.share(rate)}; from "
           f"eager {levels(base, eager)}")  # fmt: skip
    graphs = counters["stats"]["unique_graphs"]
    merger = Merger(backbone.unet, backbone.text_encoders)
    for algorithm, options in ALGORITHMS.items():
        tensors = random_adapter(context.shared(), algorithm, options)
        _, seconds = context.timed(lambda tensors=tensors: merger.merge(tensors))
        merged = draw(context, backbone, context.batch)
        that(not np.array_equal(merged, base), f"{algorithm} changed no pixel")
        yield f"{algorithm}: merged in {seconds:.3f} s, {levels(merged, base)} from base"
    merger.restore()
    again = draw(context, backbone, context.batch)
    more = counters["stats"]["unique_graphs"] - graphs
    yield (f"row 7: {more} graphs more after {len(ALGORITHMS)} adapters, of {graphs}; base again "
           f"{levels(again, base)}")  # fmt: skip
    that(more == 0, "switching adapters recompiled the U-Net")
    that(np.array_equal(again, base), "the restored base draws other pixels")


PROGRAM = """
import sys, time
started = time.time()
from benchmarks.gpu_checks.compiling import first_image
print(first_image(sys.argv[1], sys.argv[2] == "narrow", started))
"""


def first_image(device: str, narrow: bool, started: float) -> float:
    """Seconds from the start of a process to its first compiled batch."""
    from benchmarks.gpu_checks.context import Log

    context = Context(device, narrow, Log(CACHE / "log.txt"))
    backbone = optimize_for_inference(context.backbone(context.half), True)
    draw(context, backbone, context.batch)
    return time.time() - started


def warm_start(context: Context) -> Iterator[str]:
    """Row 12: a new process that finds what was compiled before."""
    context.needs_cuda()
    if not any(CACHE.glob("*")):
        raise Skipped("nothing was compiled before")
    width = "narrow" if context.narrow else "full"
    made = subprocess.run(
        [sys.executable, "-c", PROGRAM, context.device, width], capture_output=True, text=True,
        env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(CACHE)}, timeout=120, check=False,
    )  # fmt: skip
    that(made.returncode == 0, made.stderr.strip()[-300:])
    yield f"row 12: {float(made.stdout.split()[-1]):.1f} s to the first batch of a new process"
