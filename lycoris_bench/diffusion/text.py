"""Token ids to prompt embeddings, by one text encoder or by SDXL's two."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lycoris_bench.errors import BenchError


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
