"""The miniature world's image encoder: what DINOv2 is to photographs, for 64x64 scenes."""

import torch
from torch import Tensor

from lycoris_bench.files.shipped import PACKAGE
from lycoris_bench.scoring.encoders.arithmetic import placed
from lycoris_bench.scoring.encoders.base import Encoder, Record
from lycoris_bench.scoring.encoders.weights import locate, reading


class MiniatureImage(Encoder):
    """Alike for two views of the same thing: [n, 3, 64, 64] -> [n, 128]. See docs/miniature.md."""

    record = Record(
        name="miniature-image",
        weights=f"{PACKAGE}miniature/weights/image.safetensors",
        revision="1",
        sha256="a26006b9df2ea08293ff38d09c87ab3e838aea2e11f6838cec6a2bf56078c5a7",
        size=64,
        resize="letterbox",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        outputs="image",
    )

    def __init__(self, record: Record, device: str = "cpu") -> None:
        from lycoris_bench.miniature.networks import ImageEncoder

        self.record, self.device = record, torch.device(device)
        path = locate(record)
        with reading(path, record.name):
            self.network = placed(ImageEncoder.load(path), self.device)

    def forward(self, batch: Tensor) -> Tensor:
        features: Tensor = self.network(batch)
        return features
