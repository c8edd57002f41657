"""DINOv2 ViT-L/14: image features learned without labels or texts; the study's main encoder."""

import torch
from torch import Tensor

from lycoris_bench.scoring.encoders.arithmetic import with_tf32
from lycoris_bench.scoring.encoders.base import Encoder, Record
from lycoris_bench.scoring.encoders.resize import SQUARE
from lycoris_bench.scoring.encoders.timm_network import MEAN, STD, timm_network
from lycoris_bench.scoring.encoders.weights import TIMM

MODEL = "vit_large_patch14_dinov2.lvd142m"
SIZE = 224  # timm's default of 518 costs six times as much; the study uses 224


class DINOv2L(Encoder):
    """The class token after the last normalisation: [n, 3, 224, 224] -> [n, 1024].

    The position embeddings, learned at 518 pixels, are resampled to 224 by timm when the
    weights are loaded (bicubic, antialiased; Meta's own code does not antialias).

    Source: Oquab et al., DINOv2, TMLR 2024.
    """

    resizings = with_tf32(SQUARE)
    files = TIMM
    gigabytes = 1.2
    record = Record(
        name="dinov2-l",
        weights=f"timm/{MODEL}",
        revision="main",
        sha256=None,
        size=SIZE,
        resize="letterbox",
        mean=MEAN,
        std=STD,
        outputs="image",
    )

    def __init__(self, record: Record, device: str = "cpu") -> None:
        self.record, self.device = record, torch.device(device)
        self.network = timm_network(MODEL, record, img_size=record.size).to(self.device)

    def forward(self, batch: Tensor) -> Tensor:
        features: Tensor = self.network(batch)
        return features
