"""In what precision and in which memory order an encoder's network computes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

TF32 = "+tf32"  # after a resizing: products of 10-bit mantissas, several times as fast on a GPU


def with_tf32(resizings: Sequence[str]) -> tuple[str, ...]:
    """The resizings of an encoder that may be asked to compute in TF32, as `crop+tf32`."""
    return (*resizings, *(mode + TF32 for mode in resizings))


@contextmanager
def fp32(tf32: bool = False) -> Iterator[None]:
    """Products of float32 in float32, or where `tf32` in TF32; what was set before comes back.

    By itself torch convolves in TF32 on CUDA, and multiplies matrices in float32: a difference of
    two nearly equal Gram matrices would be noise."""
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before[0]
        torch.set_float32_matmul_precision(before[1])


def placed(network: Any, device: torch.device) -> Any:
    """A convolutional network on a device; on the CPU with channels last, which its convolutions
    are a fifth to a third faster with."""
    cpu = device.type == "cpu"
    return network.to(device, memory_format=torch.channels_last if cpu else torch.preserve_format)
