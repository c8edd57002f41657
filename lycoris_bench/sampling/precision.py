"""Precision "auto": what a run's images are drawn in, settled once for a run folder.

bf16 on a GPU that computes in it, and on a CPU that has instructions for it and is faster with
them; fp32 elsewhere. Images of another precision are other images, so the choice is kept: the run
folder's records of commands hold it, and so does its own study file. Each later command of the run,
on whatever machine, takes it from there."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

from lycoris_bench.files import disk
from lycoris_bench.run.provenance import PRECISION
from lycoris_bench.run.store import Store
from lycoris_bench.study.load import Study

AUTO = "auto"
KNOWN = ("fp32", "bf16", "fp16")
SECONDS = 0.25  # that each precision is tried
FASTER = 1.2  # times: below, the digits are worth more
INSTRUCTIONS = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # of torch.cpu


def settled(study: Study, store: Store, device: str) -> Study:
    """The study with a precision in the place of "auto": that of the run, else the one that suits
    the device."""
    if study.settings.sampling.precision != AUTO:
        return study
    return study.with_sampling(precision=recorded(store) or suited(device))


def recorded(store: Store) -> str | None:
    """The precision that a run's images are drawn in; None before its first command. A damaged
    study file would say another one, so the records of commands go first."""
    kept = next((said for said in store.recorded(PRECISION) if said in KNOWN), None)
    if kept:
        return kept
    try:
        sampling: Any = disk.read_toml(store.study).get("sampling", {})
    except disk.FileError:
        return None
    found = sampling.get("precision", "fp32") if isinstance(sampling, dict) else None
    return found if found in KNOWN else None


def suited(device: str) -> str:
    """bf16 where the device has instructions for it and is faster with them, else fp32."""
    if device.startswith("cuda"):
        if not torch.cuda.is_available():  # of a cluster's other machines, where bf16 is usual
            return "bf16"
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device != "cpu" or not any(_has(name) for name in INSTRUCTIONS):
        return "fp32"
    return "bf16" if speed(torch.bfloat16) > FASTER * speed(torch.float32) else "fp32"


def _has(name: str) -> bool:
    """Whether torch says that the CPU has these instructions; older versions do not say."""
    asked: Callable[[], bool] | None = getattr(torch.cpu, name, None)
    return asked is not None and asked()


@torch.inference_mode()
def speed(dtype: torch.dtype, seconds: float = SECONDS) -> float:
    """Convolutions and products of the size of the miniature's that this process computes in a
    second of its own time."""
    x = torch.ones(8, 64, 32, 32, dtype=dtype).to(memory_format=torch.channels_last)
    kernel = torch.ones(64, 64, 3, 3, dtype=dtype)
    rows, matrix = torch.ones(2048, 256, dtype=dtype), torch.ones(256, 256, dtype=dtype)

    def work() -> None:
        F.silu(F.conv2d(x, kernel, padding=1))
        F.linear(rows, matrix)

    work()
    start, count = time.process_time(), 0
    while (spent := time.process_time() - start) < seconds or not count:
        work()
        count += 1
    return count / max(spent, 1e-9)
