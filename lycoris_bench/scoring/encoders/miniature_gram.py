"""The miniature world's VGG: Gram matrices of five layers of a network trained on its styles."""

import torch
from torch import Tensor

from lycoris_bench.files.shipped import PACKAGE
from lycoris_bench.scoring.encoders.arithmetic import placed
from lycoris_bench.scoring.encoders.base import Encoder, Record
from lycoris_bench.scoring.encoders.gram_matrix import gram_matrix
from lycoris_bench.scoring.encoders.weights import locate, reading


class MiniatureGram(Encoder):
    """[n, 3, h, w] -> five stacks [n, c, c] with c = 16, 32, 48, 64, 64, all after their ReLU."""

    record = Record(
        name="miniature-gram",
        weights=f"{PACKAGE}miniature/weights/gram.safetensors",
        revision="1",
        sha256="e3bb0620267f9bf52d3cae2b31672b10bb6e965ef6a8cee2c7aac0b1a3c97fd0",
        size=64,
        resize="scale",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        outputs="gram",
    )

    def __init__(self, record: Record, device: str = "cpu") -> None:
        from lycoris_bench.miniature.networks import GramNetwork

        self.record, self.device = record, torch.device(device)
        path = locate(record)
        with reading(path, record.name):
            self.network = placed(GramNetwork.load(path), self.device)

    def forward(self, batch: Tensor) -> list[Tensor]:
        return [gram_matrix(maps) for maps in self.network(batch)]
