"""Memory that the C library keeps for the next tensor."""

import ctypes
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # of mallopt(3)
KEPT, LARGEST = 64 * 2**20, 2**30  # bytes


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
