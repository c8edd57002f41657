"""DINOv2 ViT-L/14 with its positions resampled as Meta's hub code does: to set numbers beside
the study's published ones. `dinov2-l` is the one to use otherwise."""

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import interpolate

from lycoris_bench.scoring.encoders.arithmetic import with_tf32
from lycoris_bench.scoring.encoders.base import Encoder, Record
from lycoris_bench.scoring.encoders.resize import SQUARE
from lycoris_bench.scoring.encoders.timm_network import MEAN, STD, timm_network
from lycoris_bench.scoring.encoders.weights import TIMM

MODEL = "vit_large_patch14_dinov2.lvd142m"
PATCH = 14
OFFSET = 0.1  # Meta's code asks for 16.1 patches a side and takes the 16 it gets


class DINOv2LHub(Encoder):
    """As `dinov2-l`, but for the table of positions: [n, 3, 224, 224] -> [n, 1024].

    Source: Oquab et al., DINOv2, TMLR 2024, and its published code.
    """

    resizings = with_tf32(SQUARE)
    files = TIMM
    gigabytes = 1.2
    record = Record(
        name="dinov2-l-hub",
        weights=f"timm/{MODEL}",
        revision="main",
        sha256=None,
        size=224,
        resize="letterbox",
        mean=MEAN,
        std=STD,
        outputs="image",
    )

    def __init__(self, record: Record, device: str = "cpu") -> None:
        self.record, self.device = record, torch.device(device)
        network = timm_network(MODEL, record)  # at the 518 pixels of its training
        learned = network.pos_embed.detach()
        network.set_input_size(img_size=record.size)
        network.pos_embed = Parameter(positions(learned, record.size // PATCH), requires_grad=False)
        self.network = network.to(self.device)

    def forward(self, batch: Tensor) -> Tensor:
        features: Tensor = self.network(batch)
        return features


def positions(learned: Tensor, side: int) -> Tensor:
    """The table [1, 1 + m^2, d] for m x m patches, for side x side of them: bicubic, without
    antialiasing, sampled (i + 1/2) m / (side + OFFSET) - 1/2; the class token's stays."""
    token, patches = learned[:, :1], learned[:, 1:]
    m = round(patches.shape[1] ** 0.5)
    grid = patches.reshape(1, m, m, -1).permute(0, 3, 1, 2)
    resampled = interpolate(grid, scale_factor=(side + OFFSET) / m, mode="bicubic")
    return torch.cat([token, resampled.permute(0, 2, 3, 1).reshape(1, side * side, -1)], dim=1)
