"""How much memory a worker process needs, so that no more start than fit.

Figures are upper bounds of what weights take; activations and libraries come on top (MARGIN)."""

import json
import math
from pathlib import Path

import psutil

from lycoris_bench.models.hub import BackboneError, weight_files
from lycoris_bench.planning import time_and_disk
from lycoris_bench.planning.plan import Plan
from lycoris_bench.run import environment
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.encoders import ENCODERS
from lycoris_bench.scoring.encoders.weights import here

MARGIN = 1 << 30  # of one process: torch and its libraries, and what passes through the networks
TRAINED = 16  # bytes a trained parameter: its weight, gradient and two moments
SEEN = 1.3  # times an encoder's weights: the paper's four networks took 6.7 GB for 4.3 of them
LIMIT = Path("/sys/fs/cgroup/memory.max")
USED = Path("/sys/fs/cgroup/memory.current")


def workers(plan: Plan, stage: str, device: str) -> int:
    """As many processes as there are cores on the CPU, or as fit into the memory that is free;
    one on an accelerator, whose own memory this does not know."""
    cores = environment.default_workers(device)
    return max(1, min(cores, available() // needed(plan, stage))) if cores > 1 else cores


def needed(plan: Plan, stage: str) -> int:
    """Bytes of one worker of `stage`.

    Training holds the base model in single precision and what is trained; drawing holds it in
    `sampling.precision`, with a copy of what checkpoints change; scoring holds each encoder's
    network once, whatever its resizings."""
    settings = plan.study.settings
    if stage == "train":
        trained = time_and_disk.parameters(plan) or {}
        most = max(trained.values(), default=0)
        return MARGIN + 4 * _numbers(settings.base_model) + TRAINED * most
    if stage == "generate":
        size = 4 if settings.sampling.precision == "fp32" else 2
        return MARGIN + 2 * size * _numbers(plan.base_model)
    if stage == "score":
        scoring = settings.scoring
        names = {spec.partition(":")[0]: scoring.weights_of(spec) for spec in scoring.encoders}
        records = [encoders.resolved(name, weights) for name, weights in names.items()]
        files = [here(record, ENCODERS.get(record.name).files) for record in records]
        return MARGIN + int(SEEN * sum(file.stat().st_size for file in files if file))
    return MARGIN


def available() -> int:
    """Bytes that are free: of the machine, or of the container if that has less."""
    free = int(psutil.virtual_memory().available)
    try:
        return min(free, int(LIMIT.read_text()) - int(USED.read_text()))
    except (OSError, ValueError):  # no limit
        return free


def _numbers(base_model: str) -> int:
    """Parameters of a base model, by the headers of its files; none where it is not there."""
    try:
        return sum(map(_in_file, weight_files(base_model)))
    except BackboneError:
        return 0


def _in_file(path: Path) -> int:
    """Numbers in a file of weights; of a pickle, whose header is not read, as if it held fp32."""
    if path.suffix != ".safetensors":
        return path.stat().st_size // 4
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    header.pop("__metadata__", None)
    return sum(math.prod(tensor["shape"]) for tensor in header.values())
