"""The inputs of a step, made on the CPU: where an accelerator computes, those of the next one
meanwhile. They are functions of counters, so that it changes no number when they are made."""

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import torch
from torch import Tensor

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Ahead(Generic[K, V]):
    """`make(key)` of keys in a known order; with a thread, the next while one is used."""

    def __init__(self, make: Callable[[K], V], threaded: bool) -> None:
        self.make = make
        self._pool = ThreadPoolExecutor(1, "batches") if threaded else None
        self._coming: tuple[K, Future[V]] | None = None

    def __call__(self, key: K, following: Sequence[K] = ()) -> V:
        """What belongs to `key`; then that of the first of `following` is begun."""
        coming, self._coming = self._coming, None
        value = coming[1].result() if coming and coming[0] == key else self.make(key)
        if self._pool and following:
            self._coming = following[0], self._pool.submit(self.make, following[0])
        return value

    def close(self) -> None:
        """Ends the thread."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)


def sent(value: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on the device. A GPU fetches it from pinned memory when it comes to it,
    and the CPU goes on."""
    if device.type == "cuda" and not value.is_pinned():
        value = value.pin_memory()
    return value.to(device, non_blocking=True)
