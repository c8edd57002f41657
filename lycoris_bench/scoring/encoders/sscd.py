"""SSCD: a descriptor that finds copies: alike for an image and its edited copy, and little else.

Its weights are given by the user, as safetensors: `scoring.weights.sscd = "sscd.safetensors"`."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from lycoris_bench.scoring.encoders.arithmetic import placed
from lycoris_bench.scoring.encoders.base import Encoder, Record
from lycoris_bench.scoring.encoders.timm_network import MEAN, STD
from lycoris_bench.scoring.encoders.weights import (
    MissingWeights,
    WrongWeights,
    locate,
    needed,
    reading,
)

WIDTH = 512
POWER = 3.0
LEAST = 1e-6  # below it a value counts as this much, so that 0 has a root
PREFIX = "backbone."  # of every tensor in the authors' files for torchvision
UNNAMED = "sscd.safetensors"


class GeneralizedMean(nn.Module):
    """Pools a map [n, c, h, w] to [n, c, 1, 1]: (mean x^3)^(1/3), between the mean and the largest.

    Source: Radenovic, Tolias and Chum, Fine-tuning CNN image retrieval, TPAMI 2019."""

    def forward(self, maps: Tensor) -> Tensor:
        powers = maps.clamp(min=LEAST) ** POWER
        return powers.mean(dim=(2, 3), keepdim=True) ** (1 / POWER)


class SSCD(Encoder):
    """ResNet-50, pooled by a generalized mean, projected, of norm 1: [n, 3, h, w] -> [n, 512].

    Its authors resize to 320 x 320 or to 288 on the short side, bilinearly; here an image becomes
    320 x 320 as all images here do, bicubically. Of their descriptors a cosine above 0.75 means a
    copy in 9 of 10 pairs of their data. Only metrics of copying are computed with it.

    Source: Pizzi et al., A self-supervised descriptor for image copy detection, CVPR 2022.
    """

    resizings = ("stretch",)
    gigabytes = 0.1
    record = Record(
        name="sscd",
        weights=UNNAMED,
        revision="local",
        sha256=None,
        size=320,
        resize="stretch",
        mean=MEAN,
        std=STD,
        outputs="copy",
    )

    def __init__(self, record: Record, device: str = "cpu") -> None:
        self.record, self.device = record, torch.device(device)
        self.network = placed(sscd_network(_weights(record), record.name), self.device)

    def forward(self, batch: Tensor) -> Tensor:
        return functional.normalize(self.network(batch))


def _weights(record: Record) -> Path:
    """MissingWeights: the study names none. WrongWeights: they are no safetensors."""
    if record.weights == UNNAMED and not Path(UNNAMED).is_file():
        raise MissingWeights(
            f"the weights of {record.name} are yours to give: write [scoring.weights] "
            f'{record.name} = "a file.safetensors" (docs/metrics.md says how to make it)'
        )
    path = locate(record)
    if path.suffix != ".safetensors":
        raise WrongWeights(
            f"{path} is no safetensors file, the only kind that {record.name} reads, as others can "
            "run programs; docs/metrics.md says how to convert it"
        )
    return path


def sscd_network(path: Path, name: str) -> nn.Module:
    """The network with the weights of a file; every tensor has to be there, of its shape, and none
    besides. WrongWeights: they are those of something else."""
    try:
        from torchvision.models import resnet50
    except ImportError as error:
        raise needed("torchvision", name) from error
    with torch.device("meta"):
        network = resnet50(num_classes=WIDTH)
    network.avgpool = GeneralizedMean()
    with reading(path, name):
        state = {key.removeprefix(PREFIX): value for key, value in load_file(path).items()}
        counted = {key: torch.tensor(0) for key in network.state_dict() if _is_count(key)}
        network.load_state_dict({**counted, **state}, assign=True)
    return network.float().eval().requires_grad_(False)


def _is_count(key: str) -> bool:
    """Of batches seen in training: older files lack it, and nothing here depends on it."""
    return key.endswith(".num_batches_tracked")
