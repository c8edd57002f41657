"""Memory while drawing: batches are halved where it runs out, and freed memory is kept."""

import ctypes
import sys
import warnings
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")
WITHOUT_MEMORY = ("can't allocate memory", "not enough memory")  # of torch on a CPU
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # of mallopt(3)
KEPT, LARGEST = 64 * 2**20, 2**30  # bytes


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
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
    return parts


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory is full, on a GPU or a CPU."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        phrase in str(error) for phrase in WITHOUT_MEMORY
    )


def keep_freed_memory() -> None:
    """Tells the C library to keep what this process frees for its next tensor of that size.

    glibc gives large blocks back to the system at once, which hands them out again page by page,
    zeroed: in fp32 that is a fifth of the time of a U-Net of 64 x 64 pixels. Nothing happens where
    the C library is another one."""
    if sys.platform != "linux":
        return
    try:
        option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    option(MMAP_THRESHOLD, LARGEST)
    option(TRIM_THRESHOLD, LARGEST)
    option(TOP_PAD, KEPT)
