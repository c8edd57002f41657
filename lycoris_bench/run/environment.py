"""The machine: device, default number of workers, versions and hardware."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from lycoris_bench.messages.errors import BenchError


def device(wanted: str = "auto") -> str:
    """`auto` is CUDA where there is one, else the CPU."""
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = wanted.split(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise BenchError(f"unknown device '{wanted}'; allowed are: auto, cpu, cuda, cuda:N, mps")
    if kind == "cuda" and not torch.cuda.is_available():
        raise BenchError("device 'cuda' was asked for, but torch finds none; use --device cpu")
    return wanted


def default_workers(device_name: str) -> int:
    """One process a core on the CPU, where a thread each is fastest; one on an accelerator."""
    if device_name != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, 8))


def provenance(command: Sequence[str] = ()) -> dict[str, Any]:
    """Versions, hardware and command, as far as they can change a number."""
    packages = ("lycoris-bench", "torch", "bitsandbytes", "diffusers", "transformers", "timm",
                "open_clip_torch", "numpy", "scipy", "catboost", "pandas", "pillow")  # fmt: skip
    return {
        "command": list(command) or sys.argv,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "packages": {name: _version(name) for name in packages},
        "git": _git(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _git() -> str | None:
    """Commit of the source tree this runs from, if it is one."""
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
