"""AdamW, plain or with 8-bit moments, and the rate of a step."""

import sys
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from lycoris_bench.messages.errors import BenchError


def adamw(
    parameters: Iterable[nn.Parameter],
    *,
    betas: tuple[float, float],
    weight_decay: float,
    eight_bit: bool = False,
) -> torch.optim.Optimizer:
    """Decoupled weight decay on every parameter. The rate is set before each step, see `rate`.

    `eight_bit` is bitsandbytes' AdamW8bit, the paper's; a `ValueError` says so if it is absent. It
    saves 6 bytes a parameter: much for `full`, nothing for small adapters, whose steps it slows
    down by a launch for each of hundreds of tensors."""
    settings: dict[str, Any] = {"lr": 0.0, "betas": betas, "weight_decay": weight_decay}
    if not eight_bit:
        return torch.optim.AdamW(parameters, fused=True, **settings)
    optimizer: torch.optim.Optimizer = _adamw8bit()(parameters, **settings)
    return optimizer


def check(name: str, device: str) -> None:
    """Raises a `ValueError` that says what to install where the optimizer cannot be made."""
    if available(name, device) == "adamw8bit":
        _adamw8bit()


def _adamw8bit() -> Any:
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError:
        raise BenchError(
            "optimizer 'adamw8bit' needs bitsandbytes; install it with "
            "'pip install bitsandbytes', or set optimizer = \"adamw\""
        ) from None

    class Unsynchronized(AdamW8bit):  # type: ignore[misc]  # without bitsandbytes it has no type
        """AdamW8bit waits for the GPU after each tensor, which only paged moments need: half of
        its time. These are not paged."""

        def step(self, closure: Any = None) -> Any:
            theirs: Any = sys.modules.get("bitsandbytes.optim.optimizer")
            wait = getattr(theirs, "sync_gpu", None)
            if wait is None:
                return super().step(closure)
            theirs.sync_gpu = lambda tensor: None
            try:
                return super().step(closure)
            finally:
                theirs.sync_gpu = wait

    return Unsynchronized


def available(name: str, device: str) -> str:
    """The optimizer that is used where `name` is asked for: 8-bit moments exist on CUDA alone.

    >>> available("adamw8bit", "cuda:1"), available("adamw8bit", "cpu"), available("adamw", "cuda")
    ('adamw8bit', 'adamw', 'adamw')
    """
    return name if device.startswith("cuda") else "adamw"


SCHEDULE = "constant_with_warmup"
"""What other trainers call the schedule of `rate`; an adapter's metadata says it."""


def rate(lr: float, step: int, warmup: int) -> float:
    """Rate of step 0, 1, ...: linear up to `lr` over the first `warmup` steps, then constant.

    >>> [rate(1.0, step, warmup=4) for step in (0, 1, 3, 4, 100)]
    [0.25, 0.5, 1.0, 1.0, 1.0]
    """
    return lr * min(1.0, (step + 1) / max(warmup, 1))
