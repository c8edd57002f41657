"""What the U-Net is told about an image: its text, and for SDXL its size."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Conditioning(NamedTuple):
    """What the U-Net attends to: embeddings [n, length, d], and which of them count [n, length]
    (None: all). Prompts of fewer chunks than their neighbours are masked, so that a prompt means
    the same whatever it shares a batch with.

    SDXL adds a summary of the text [n, d] and the image's frame [n, 6], see `frame`."""

    hidden: Tensor
    mask: Tensor | None = None
    pooled: Tensor | None = None
    frames: Tensor | None = None

    def rows(self, index: Tensor | slice) -> "Conditioning":
        """Some of the batch, in any order."""
        return Conditioning(*(None if part is None else part[index] for part in self))  # type: ignore[arg-type]

    def to(self, device: torch.device) -> "Conditioning":
        return Conditioning(*(None if part is None else part.to(device) for part in self))  # type: ignore[arg-type]


def stacked(texts: Sequence[Conditioning]) -> Conditioning:
    """Texts of one row and of unlike length as one batch, with the mask that tells."""
    rows = [text.hidden[0] for text in texts]
    hidden = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    mask = None
    if int(lengths.min()) < hidden.shape[1]:
        mask = (lengths[:, None] > torch.arange(hidden.shape[1])).to(hidden.device)
    pooled = [text.pooled for text in texts if text.pooled is not None]
    return Conditioning(hidden, mask, torch.cat(pooled) if pooled else None)


def frame(size: tuple[int, int], bucket: tuple[int, int]) -> tuple[int, ...]:
    """SDXL's six numbers: height and width of the original, the crop's top and left in it as
    resized to cover the bucket, height and width of the bucket. Sizes are (width, height).

    >>> frame((640, 480), (512, 512))
    (480, 640, 0, 85, 512, 512)
    >>> frame((512, 512), (512, 512))
    (512, 512, 0, 0, 512, 512)
    """
    (width, height), (across, down) = size, bucket
    scale = max(across / width, down / height)
    top, left = (height * scale - down) / 2, (width * scale - across) / 2
    return height, width, round(top), round(left), down, across
