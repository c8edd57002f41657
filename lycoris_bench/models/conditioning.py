"""What the U-Net is told about an image: its text, and for SDXL its size."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lycoris_bench.messages.errors import BenchError


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


def encode(
    encoders: Sequence[Any], ids: Sequence[Tensor], clip_skip: int
) -> tuple[Tensor, Tensor | None]:
    """(embeddings [n, chunks * length, d], summary [n, d] or None) of ids [n, chunks, length],
    given once for each encoder.

    `clip_skip` counts layers from the one that the base model was trained on, which is 1: the
    last behind its norm; with two encoders the last but one of each, side by side, and the
    summary is the second encoder's of the first chunk. Raises `ValueError` past the first."""
    if len(encoders) == 1:
        return _single(encoders[0], ids[0], clip_skip), None
    parts, pooled = [], None
    for encoder, own in zip(encoders, ids, strict=True):
        n, chunks, length = own.shape
        output = encoder(own.reshape(n * chunks, length), output_hidden_states=True)
        layers = output.hidden_states
        _check(clip_skip + 1, layers)
        parts.append(layers[-clip_skip - 1].reshape(n, chunks * length, -1))
        if hasattr(output, "text_embeds"):
            pooled = output.text_embeds.reshape(n, chunks, -1)[:, 0]
    return torch.cat(parts, -1), pooled


def _single(encoder: Any, ids: Tensor, clip_skip: int) -> Tensor:
    n, chunks, length = ids.shape
    flat = ids.reshape(n * chunks, length)
    if clip_skip == 1:
        hidden = encoder(flat)[0]
    else:
        layers = encoder(flat, output_hidden_states=True).hidden_states
        _check(clip_skip, layers)
        model = getattr(encoder, "text_model", encoder)
        hidden = model.final_layer_norm(layers[-clip_skip])
    return hidden.reshape(n, chunks * length, -1)


def _check(back: int, layers: Sequence[Tensor]) -> None:
    if back >= len(layers):
        raise BenchError(
            f"clip_skip goes back {back} layers, but the text encoder has {len(layers) - 1} layers"
        )
