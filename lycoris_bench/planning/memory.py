"""The memory that a worker process needs, and the number of workers that fit.

Figures are upper bounds for weights; MARGIN is added for activations and libraries."""

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

MARGIN = 1 << 30  # bytes per process for torch, its libraries and activations
TRAINED = 16  # bytes per trained parameter: its weight, gradient and two moments
SEEN = 1.3  # factor on an encoder's weights: the paper's four networks took 6.7 GB for 4.3 GB
LIMIT = Path("/sys/fs/cgroup/memory.max")
USED = Path("/sys/fs/cgroup/memory.current")


def workers(plan: Plan, stage: str, device: str) -> int:
    """The number of worker processes: one per CPU core, fewer where free memory is short; one per
    GPU, whose memory is not considered."""
    cores = environment.default_workers(device)
    return max(1, min(cores, available() // needed(plan, stage))) if cores > 1 else cores


def needed(plan: Plan, stage: str) -> int:
    """Bytes that one worker of `stage` needs.

    Training holds the base model in single precision and the trained parameters, and with prior
    preservation what drawing holds. Drawing holds the model in `sampling.precision` and a copy of
    the weights that checkpoints change; scoring holds each encoder's network once, whatever its
    resizings. `run` holds all of it."""
    settings = plan.study.settings
    size = 4 if settings.sampling.computed_in == "fp32" else 2
    if stage == "run":
        parts = [needed(plan, part) for part in ("train", "generate", "score")]
        return sum(parts) - 2 * MARGIN
    if stage == "train":
        trained = time_and_disk.parameters(plan) or {}
        most = max(trained.values(), default=0)
        drawn = 2 * _numbers(settings.base_model) if plan.class_images else 0
        return MARGIN + 4 * _numbers(settings.base_model) + TRAINED * most + size * drawn
    if stage == "generate":
        return MARGIN + 2 * size * _numbers(plan.base_model)
    if stage == "score":
        scoring = settings.scoring
        names = {spec.partition(":")[0]: scoring.weights_of(spec) for spec in scoring.encoders}
        records = [encoders.resolved(name, weights) for name, weights in names.items()]
        files = [here(record, ENCODERS.get(record.name).files) for record in records]
        return MARGIN + int(SEEN * sum(file.stat().st_size for file in files if file))
    return MARGIN


def available() -> int:
    """Free bytes of the machine, or of the container if those are fewer."""
    free = int(psutil.virtual_memory().available)
    try:
        return min(free, int(LIMIT.read_text()) - int(USED.read_text()))
    except (OSError, ValueError):  # no limit
        return free


def _numbers(base_model: str) -> int:
    """The number of a base model's parameters, from the headers of its files; 0 where it is
    missing."""
    try:
        return sum(map(_in_file, weight_files(base_model)))
    except BackboneError:
        return 0


def _in_file(path: Path) -> int:
    """The number of values in a file of weights; a pickle, whose header is not read, counts as
    fp32."""
    if path.suffix != ".safetensors":
        return path.stat().st_size // 4
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    header.pop("__metadata__", None)
    return sum(math.prod(tensor["shape"]) for tensor in header.values())
