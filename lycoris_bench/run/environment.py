"""The machine: device, default number of workers, versions and hardware."""

import contextlib
import functools
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from lycoris_bench.messages.errors import BenchError


def device(name: str = "auto") -> str:
    """The device of that name; `auto` is CUDA where there is a GPU, else the CPU. BenchError: the
    name is unknown, or there is no such GPU."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = name.split(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise BenchError(f"unknown device '{name}'; allowed are: auto, cpu, cuda, cuda:N, mps")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        there = ", ".join(f"'cuda:{number}'" for number in range(count))
        if not there:
            raise BenchError(f"device '{name}': torch finds no GPU; choose the device 'cpu'")
        if name != "cuda" and f"'{name}'" not in there:
            raise BenchError(f"there is no device '{name}'; torch finds: {there}")
    return name


def devices(device_name: str) -> list[str]:
    """The devices that worker processes take in turn: `cuda` is every GPU, `cuda:1` one GPU."""
    if device_name != "cuda":
        return [device_name]
    import torch

    count = torch.cuda.device_count()
    return [f"cuda:{number}" for number in range(count)] if count > 1 else ["cuda"]


def default_workers(device_name: str) -> int:
    """One process per CPU core, at most 8, since one thread each is fastest; or one per GPU."""
    if device_name != "cpu":
        return len(devices(device_name))
    return min(cores(), 8)


def cores() -> int:
    """The number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def provenance(command: Sequence[str] = (), stage: str = "", device: str = "") -> dict[str, Any]:
    """Command, time, host, hardware and package versions: whatever can change a number."""
    packages = ("lycoris-bench", "torch", "bitsandbytes", "diffusers", "transformers", "timm",
                "open_clip_torch", "numpy", "scipy", "catboost", "pandas", "pillow")  # fmt: skip
    about = {"stage": stage, "device": device and device_name(device)}
    return {
        **{key: value for key, value in about.items() if value},
        "command": list(command) or [Path(sys.argv[0]).name, *sys.argv[1:]],
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "host": platform.node(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "packages": {name: _version(name) for name in packages},
        **({"cuda": cuda(device)} if device.startswith("cuda") else {}),
        "git": _git(),
    }


def cuda(device: str) -> dict[str, Any]:
    """What numbers depend on besides the code on this device: hardware, libraries, and which
    arithmetic torch would choose."""
    import torch

    backends = torch.backends
    attention = {
        "flash": backends.cuda.flash_sdp_enabled(),
        "cudnn": backends.cuda.cudnn_sdp_enabled(),
        "memory-efficient": backends.cuda.mem_efficient_sdp_enabled(),
        "math": backends.cuda.math_sdp_enabled(),
    }
    return {
        "gpus": [torch.cuda.get_device_name(name) for name in devices(device)],
        "capability": [list(torch.cuda.get_device_capability(name)) for name in devices(device)],
        "cuda": torch.version.cuda,
        "cudnn": backends.cudnn.version(),
        "driver": _driver(),
        "tf32 in convolutions": backends.cudnn.allow_tf32,
        "precision of matrix products": torch.get_float32_matmul_precision(),
        "attention": [name for name, enabled in attention.items() if enabled],
    }


def scored_on(device: str) -> dict[str, Any]:
    """The device, by its hardware alone, and the versions that features depend on."""
    packages = ("torch", "timm", "open_clip_torch", "transformers", "pillow")
    kind, _, hardware = device_name(device).partition(" ")
    versions = {name: _version(name) for name in packages}
    return {"device": f"{kind.partition(':')[0]} {hardware}".strip(), "versions": versions}


def trained_on(device: str) -> dict[str, Any]:
    """The fields `device` and `versions` of a checkpoint's card."""
    packages = ("lycoris-bench", "torch", "diffusers", "transformers")
    return {"device": device_name(device), "versions": {name: _version(name) for name in packages}}


def device_name(device: str) -> str:
    """A device with its hardware's name, such as "cuda:0 (NVIDIA H100 80GB HBM3)"; for "cuda",
    which may be several GPUs, the name of each kind."""
    if device.startswith("cuda"):
        import torch

        names = dict.fromkeys(map(torch.cuda.get_device_name, devices(device)))
        return f"{device} ({', '.join(names)})"
    return f"{device} ({_processor()})" if device == "cpu" else device


@functools.cache  # a process keeps the packages that it imported
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@functools.cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _driver() -> str | None:
    """The version of NVIDIA's driver."""
    with contextlib.suppress(OSError):
        found = re.search(r"\d+\.\d+(\.\d+)?", Path("/proc/driver/nvidia/version").read_text())
        return found.group() if found else None
    return None


@functools.cache
def _git() -> str | None:
    """The git commit of the source tree this runs from; None for an installed package."""
    tree = Path(__file__).parents[2]
    if not (tree / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=tree,
            capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
