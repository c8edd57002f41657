"""VGG-19: Gram matrices of five layers, the yardstick of style."""

import torch
from torch import Tensor

from lycoris_bench.scoring.encoders.arithmetic import placed
from lycoris_bench.scoring.encoders.base import Encoder, Record
from lycoris_bench.scoring.encoders.gram_matrix import gram_matrix
from lycoris_bench.scoring.encoders.timm_network import MEAN, STD, timm_network
from lycoris_bench.scoring.encoders.weights import TIMM

MODEL = "vgg19.tv_in1k"
# Index in the layer list -> tap. Each convolution is followed by its ReLU, one further.
TAPS = {1: "conv1_1", 6: "conv2_1", 11: "conv3_1", 20: "conv4_1", 28: "conv5_1"}


class VGG19(Encoder):
    """Gram matrices of conv1_1, conv2_1, conv3_1, conv4_1, conv5_1: [n, 3, h, w] -> five
    stacks [n, c, c] with c = 64, 128, 256, 512, 512.

    The first four are taken after their ReLU, conv5_1 before it. This is what the study's
    published style losses measure: its code keeps the outputs of the convolutions, which
    torchvision's ReLU then overwrites in place, and stops after conv5_1.

    Source: Simonyan and Zisserman, ICLR 2015; Gatys, Ecker and Bethge, CVPR 2016.
    """

    files = TIMM
    gigabytes = 0.6
    record = Record(
        name="vgg19",
        weights=f"timm/{MODEL}",
        revision="main",
        sha256=None,
        size=224,
        resize="scale",
        mean=MEAN,
        std=STD,
        outputs="gram",
    )

    def __init__(self, record: Record, device: str = "cpu") -> None:
        self.record, self.device = record, torch.device(device)
        network = timm_network(MODEL, record)
        self.layers = placed(network.features[: max(TAPS) + 1], self.device)

    def forward(self, batch: Tensor) -> list[Tensor]:
        return tapped_grams(self.layers, batch)


def tapped_grams(layers: torch.nn.Sequential, x: Tensor) -> list[Tensor]:
    """Gram matrices at TAPS. Each is made at once: a later ReLU writes over its input."""
    grams = []
    for index, layer in enumerate(layers):
        x = layer(x)
        if index in TAPS:
            grams.append(gram_matrix(x))
    return grams
