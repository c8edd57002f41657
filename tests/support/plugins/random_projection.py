"""An encoder without weights: pixels times a fixed random matrix."""

import torch
from torch import Tensor

from lycoris_bench.scoring.encoders.base import Encoder, Record
from lycoris_bench.scoring.encoders.resize import SQUARE

SIDE, WIDTH = 8, 12


class RandomProjection(Encoder):
    """[n, 3, 8, 8] -> [n, 12]. The matrix is that of torch's generator with seed 0."""

    resizings = SQUARE
    record = Record(
        name="random-projection", weights="", revision="1", sha256=None, size=SIDE,
        resize="stretch", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), outputs="image",
    )  # fmt: skip

    def __init__(self, record: Record, device: str = "cpu") -> None:
        self.record, self.device = record, torch.device(device)
        generator = torch.Generator().manual_seed(0)
        self.matrix = torch.randn(3 * SIDE * SIDE, WIDTH, generator=generator).to(self.device)

    def forward(self, batch: Tensor) -> Tensor:
        return batch.flatten(1) @ self.matrix
