"""ConvNeXt V2-L: image features of a convolutional network, trained on labels in the end."""

import torch
from torch import Tensor

from lycoris_bench.scoring.encoders.arithmetic import placed, with_tf32
from lycoris_bench.scoring.encoders.base import Encoder, Record
from lycoris_bench.scoring.encoders.resize import RESIZINGS
from lycoris_bench.scoring.encoders.timm_network import MEAN, STD, timm_network
from lycoris_bench.scoring.encoders.weights import TIMM

MODEL = "convnextv2_large.fcmae_ft_in22k_in1k_384"


class ConvNeXtV2L(Encoder):
    """The pooled and normalised features before the classifier: [n, 3, h, w] -> [n, 1536].

    Any shape will do, so that the aspect is kept (`scale`).

    Source: Woo et al., ConvNeXt V2, CVPR 2023 (weights: CC-BY-NC 4.0, not for commercial use).
    """

    resizings = with_tf32(tuple(RESIZINGS))
    files = TIMM
    gigabytes = 0.8
    record = Record(
        name="convnextv2-l",
        weights=f"timm/{MODEL}",
        revision="main",
        sha256=None,
        size=384,
        resize="scale",
        mean=MEAN,
        std=STD,
        outputs="image",
    )

    def __init__(self, record: Record, device: str = "cpu") -> None:
        self.record, self.device = record, torch.device(device)
        network = timm_network(MODEL, record)
        network.reset_classifier(0)
        self.network = placed(network, self.device)

    def forward(self, batch: Tensor) -> Tensor:
        features: Tensor = self.network(batch)
        return features
