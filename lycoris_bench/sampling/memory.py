"""Memory while drawing: batches are halved where it runs out."""

import warnings
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")
WITHOUT_MEMORY = ("can't allocate memory", "not enough memory")  # of torch on a CPU


def in_parts(work: Callable[[slice], T], rows: int) -> list[T]:
    """What `work` makes of all rows at once, or in halves where memory runs out, and so on.

    A batch's size changes the last digits of its images at most, as kernels are chosen by it."""
    parts: list[T] = []
    queue = [slice(0, rows)]
    while queue:
        part = queue.pop(0)
        try:
            parts.append(work(part))
        except (MemoryError, RuntimeError) as error:
            size = part.stop - part.start
            if size == 1 or not ran_out(error):
                raise
            middle = part.start + size // 2
            queue[:0] = [slice(part.start, middle), slice(middle, part.stop)]
            if size == rows:
                warnings.warn(  # shown once: Python repeats none of the same place
                    f"memory runs out at {size} images at once, which are drawn in halves; a "
                    f"smaller sampling.batch_size, such as {size // 2}, saves the attempts",
                    stacklevel=2,
                )
            free_cache()
    return parts


def free_cache() -> None:
    """Gives back what torch holds of a GPU's memory for later use."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory is full, on a GPU or a CPU."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        phrase in str(error) for phrase in WITHOUT_MEMORY
    )
