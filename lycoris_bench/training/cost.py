"""What a training has cost so far."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch


@dataclass(frozen=True)
class TrainingCost:
    """Cost of a training up to a checkpoint, resumed parts included.

    `seconds` are those of the steps alone, `peak_memory` is bytes (resident on the CPU, allocated
    on a GPU), `loss` the mean over the last epoch, `parameters` how many are trained."""

    seconds: float
    peak_memory: int
    steps: int
    images: int
    loss: float
    parameters: int


@dataclass
class Meter:
    """Adds up what steps cost; its fields are part of a saved state."""

    seconds: float = 0.0
    peak_memory: int = 0
    steps: int = 0
    images: int = 0
    loss_sum: float = 0.0  # of the current epoch
    loss_steps: int = 0
    overflows: int = 0  # steps in a row that fp16 has left out

    @classmethod
    def start(cls, device: torch.device) -> "Meter":
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        return cls()

    @contextmanager
    def step(self, images: int) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - started
        self.steps += 1
        self.images += images

    def look(self, device: torch.device) -> None:
        """Called where memory is fullest: after the forward pass."""
        if device.type == "cuda":
            used = torch.cuda.max_memory_allocated(device)
        else:
            used = psutil.Process().memory_info().rss
        self.peak_memory = max(self.peak_memory, used)

    def saw(self, loss: float) -> None:
        self.loss_sum += loss
        self.loss_steps += 1

    def next_epoch(self) -> None:
        self.loss_sum, self.loss_steps = 0.0, 0

    def record(self, parameters: int) -> TrainingCost:
        return TrainingCost(
            self.seconds, self.peak_memory, self.steps, self.images,
            self.loss_sum / max(self.loss_steps, 1), parameters,
        )  # fmt: skip
