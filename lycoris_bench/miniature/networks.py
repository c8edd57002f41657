"""The miniature world's three encoders, in plain torch: image only, image and text, Gram.

All take pictures as (n, 3, h, w) in -1..1 (mean 0.5, standard deviation 0.5), made for 64x64 and
usable from 32 pixels on.  Architecture numbers are fixed here; weights are safetensors files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Self

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

SIZE = 64
FEATURES = 128
TOKENS = 704  # rows of every token table: the tokenizer's vocabulary, padded
TEXT_LENGTH = 32
START_TOKEN, END_TOKEN = 512, 513  # the end token also pads
WEIGHTS = Path(__file__).parent / "weights"


class Block(nn.Module):
    """Two 3x3 convolutions with a skip: (n, i, h, w) -> (n, o, h/stride, w/stride)."""

    def __init__(self, i: int, o: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(i, o, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(o), nn.BatchNorm2d(o)])
        self.skip = nn.Conv2d(i, o, 1, bias=False)
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.norms[0](self.first(x)))
        h = self.norms[1](self.second(h))
        x = F.avg_pool2d(x, self.stride) if self.stride > 1 else x
        return F.relu(h + self.skip(x))


class Trunk(nn.Module):
    """Convolutional features, (n, 3, h, w) -> (n, 128, h/8, w/8); h and w even."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(12, 48, 3, 1, 1)
        self.blocks = nn.Sequential(Block(48, 72, 2), Block(72, 128, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(F.relu(self.stem(F.pixel_unshuffle(x, 2))))


class Stored(nn.Module):
    """A network that can be read from a safetensors file."""

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The network with the weights at `path`, in float32 and evaluation mode."""
        network = cls()
        network.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()}
        )
        return network.eval().requires_grad_(False)


class Classifier(Stored):
    """Pictures (n, 3, h, w) in -1..1 to logits by the name of what is told apart. Subclasses are
    final and name the `values`."""

    values: ClassVar[Mapping[str, Sequence[str]]]

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.squeeze = nn.Conv2d(128, 48, 1)
        self.hidden = nn.Linear(48 * 16 + 256, 192)
        self.heads = nn.ModuleDict({k: nn.Linear(192, len(v)) for k, v in self.values.items()})

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        h = self.trunk(x)
        grid = F.adaptive_avg_pool2d(F.relu(self.squeeze(h)), 4).flatten(1)
        h = F.relu(self.hidden(torch.cat([grid, h.mean((2, 3)), h.amax((2, 3))], dim=1)))
        return {k: head(h) for k, head in self.heads.items()}

    @torch.no_grad()
    def read(self, x: torch.Tensor) -> list[dict[str, str]]:
        """The most likely value of each name for each picture."""
        found = {k: v.argmax(1).tolist() for k, v in self.forward(x).items()}
        return [{k: self.values[k][rows[i]] for k, rows in found.items()} for i in range(len(x))]


class ImageEncoder(Stored):
    """DINO-like: a picture to 128 numbers, alike for two views of the same thing.

    Mean and maximum over the picture are both used, so that a small marking is not averaged away.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.head = nn.Linear(256, FEATURES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.trunk(x)
        return self.head(torch.cat([h.mean((2, 3)), h.amax((2, 3))], dim=1))


class TextTower(nn.Module):
    """Two transformer layers over token ids (n, length) -> (n, 128); padding is left out."""

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.tokens = nn.Embedding(TOKENS, width)
        self.positions = nn.Parameter(torch.randn(TEXT_LENGTH, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, FEATURES)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        real = ids != END_TOKEN
        x = self.tokens(ids) + self.positions[: ids.shape[1]]
        x = self.norm(self.layers(x, src_key_padding_mask=~real))
        weight = real.unsqueeze(-1).to(x.dtype)
        return self.head((x * weight).sum(1) / weight.sum(1).clamp(min=1))


class ImageTextEncoder(Stored):
    """A miniature CLIP: pictures and captions in one space of 128 numbers (not normalised).

    Position in the picture matters to captions, so the image tower keeps a 4x4 map.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.squeeze = nn.Conv2d(128, 32, 1)
        self.image_head = nn.Linear(32 * 16 + 128, FEATURES)
        self.text = TextTower()
        self.log_scale = nn.Parameter(torch.tensor(2.7))

    def encode_image(self, x: torch.Tensor) -> torch.Tensor:
        h = self.trunk(x)
        grid = F.adaptive_avg_pool2d(self.squeeze(h), 4).flatten(1)
        return self.image_head(torch.cat([grid, h.amax((2, 3))], dim=1))

    def encode_text(self, ids: torch.Tensor) -> torch.Tensor:
        """Token ids of the base model's tokenizer, starting with the start token."""
        return self.text(ids)

    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Scaled cosine similarities, (pictures, captions)."""
        a, b = F.normalize(self.encode_image(x), dim=1), F.normalize(self.encode_text(ids), dim=1)
        return self.log_scale.exp() * a @ b.T


class GramNetwork(Stored):
    """VGG-like: five stages of two convolutions; `forward` returns the five first feature maps."""

    WIDTHS = (16, 32, 48, 64, 64)

    def __init__(self) -> None:
        super().__init__()
        widths = (3, *self.WIDTHS)
        self.first = nn.ModuleList(nn.Conv2d(i, o, 3, 1, 1) for i, o in pairwise(widths))
        self.second = nn.ModuleList(nn.Conv2d(o, o, 3, 1, 1) for o in self.WIDTHS)
        self.style_head, self.object_head = nn.Linear(64, 16), nn.Linear(64, 32)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps after the first convolution (and ReLU) of each stage."""
        taps = []
        for first, second in zip(self.first, self.second, strict=True):
            x = F.relu(first(x))
            taps.append(x)
            x = F.max_pool2d(F.relu(second(x)), 2)
        return taps

    def classify(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Style and object logits, the tasks that it was trained on."""
        h = self.second[-1](self.forward(x)[-1]).relu().mean((2, 3))
        return self.style_head(h), self.object_head(h)
