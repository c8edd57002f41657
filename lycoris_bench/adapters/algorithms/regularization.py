"""Regularization of an adapter in training: dropouts, and a bound on the norm of its change."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Limits:
    """Options of every algorithm that act in training only.

    Modules and rows that are left out are drawn on the CPU, from torch's own generator, so that
    they do not depend on the device; the numbers of `dropout` are drawn where the output is, as a
    mask of an output would have to be sent for each layer. Both repeat with the seed."""

    dropout: float = 0.0  # of each number in the adapter's output
    rank_dropout: float = 0.0  # of each row of ΔW: an output unit stays that of the base
    rank_dropout_scale: bool = False  # the rows that are kept make up for those that are not
    module_dropout: float = 0.0  # of the whole adapter, a layer and step at a time
    max_norm: float | None = None  # of a layer's ΔW, after each step

    def skips(self) -> bool:
        """Whether this step leaves the adapter out; one draw a call."""
        return self.module_dropout > 0 and float(torch.rand(())) < self.module_dropout

    def rows(self, change: Tensor, shift: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """ΔW and the bias's change with some rows at zero."""
        if not self.rank_dropout:
            return change, shift
        kept = (torch.rand(len(change)) >= self.rank_dropout).float()
        if self.rank_dropout_scale:
            kept = kept / kept.mean().clamp_min(1 / len(kept))  # all dropped: 0, not 0/0
        if change.device.type == "cuda":  # where a plain copy waits for all work before it
            kept = kept.pin_memory()
        kept = kept.to(change.device, non_blocking=True)
        rows = kept.reshape(-1, *(1 for _ in change.shape[1:]))
        return change * rows, None if shift is None else shift * kept
