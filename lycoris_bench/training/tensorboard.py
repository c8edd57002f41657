"""Curves of a training for TensorBoard, which is an extra."""

import warnings
from pathlib import Path
from typing import Any

from lycoris_bench.messages.errors import BenchError


def check() -> None:
    """Raises a `ValueError` that says what to install where TensorBoard is missing."""
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        raise BenchError(
            "training.tensorboard = true needs TensorBoard; install it with "
            "\"pip install 'lycoris-bench[tensorboard]'\", or leave the key out"
        ) from None


class Board:
    """Loss and rate of each step, in `folder`; a resumed training goes on after step `first`."""

    def __init__(self, folder: Path, first: int = 0) -> None:
        check()
        with warnings.catch_warnings():  # those of its own imports
            warnings.simplefilter("ignore")
            from torch.utils.tensorboard import SummaryWriter

            self._writer: Any = SummaryWriter(str(folder), purge_step=first + 1)

    def step(self, number: int, **values: float) -> None:
        """`values` of training step `number`, counted from 1."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, number)

    def close(self) -> None:
        self._writer.close()
