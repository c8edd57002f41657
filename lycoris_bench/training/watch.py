"""Losses and gradient norms of the steps, looked at when they are there: no step waits for them."""

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.training.cost import Meter

HALVINGS = 16  # a scale of fp16 begins at 2^16; steps that overflow halve it


class Diverged(BenchError):
    """The loss or the gradient is no longer a number; lower the rate."""

    def __init__(self, epoch: int, step: int, what: str = "loss") -> None:
        super().__init__(epoch, step, what)
        self.epoch, self.step, self.what = epoch, step, what

    def __str__(self) -> str:
        return f"the {self.what} is not finite in epoch {self.epoch}, step {self.step}"


class _Step(NamedTuple):
    epoch: int
    step: int
    shares: Sequence[float]  # of each batch in the step's images
    numbers: Tensor  # the loss of each batch, then the norm of the gradient
    ready: "torch.cuda.Event | None"


class Watch:
    """The steps whose numbers have not been looked at: on a GPU the last one, elsewhere none.

    With `scaled` (fp16) a gradient may overflow, which leaves out its step; a training of which
    so many steps in a row are left out that the scale falls below 1, or every step so far, has
    diverged."""

    def __init__(self, meter: Meter, device: torch.device, scaled: bool) -> None:
        self.meter, self.scaled = meter, scaled
        self.late = 1 if device.type == "cuda" else 0
        self._waiting: deque[_Step] = deque()

    def saw(
        self, epoch: int, step: int, losses: Sequence[Tensor], shares: Sequence[float], norm: Tensor
    ) -> None:
        """Takes the numbers of a step; raises `Diverged` for it, or for the one before."""
        numbers = torch.stack([*(loss.detach() for loss in losses), norm.to(losses[0])])
        ready = None
        if numbers.device.type == "cuda":
            there = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
            ready = torch.cuda.Event()
            stream = torch.cuda.current_stream(numbers.device)  # this GPU's, which may not be first
            numbers = there.copy_(numbers, non_blocking=True)
            ready.record(stream)
        self._waiting.append(_Step(epoch, step, shares, numbers, ready))
        while len(self._waiting) > self.late:
            self._look()

    def all(self) -> None:
        """Looks at every step. It is called before anything is kept of a training."""
        while self._waiting:
            self._look()

    def ended(self, epoch: int, step: int) -> None:
        """Looks at every step at the end of an epoch."""
        self.all()
        if self.meter.overflows and self.meter.overflows >= self.meter.steps:
            raise Diverged(epoch, step, "gradient")

    def _look(self) -> None:
        seen = self._waiting.popleft()
        if seen.ready is not None:
            seen.ready.synchronize()
        *losses, norm = seen.numbers.tolist()
        value = 0.0
        for loss, share in zip(losses, seen.shares, strict=True):
            value += share * loss
        if not math.isfinite(value):
            raise Diverged(seen.epoch, seen.step)
        finite = math.isfinite(norm)
        self.meter.overflows = 0 if finite else self.meter.overflows + 1
        if not finite and (not self.scaled or self.meter.overflows > HALVINGS):
            raise Diverged(seen.epoch, seen.step, "gradient")
        self.meter.saw(value)
