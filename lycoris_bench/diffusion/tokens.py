"""Prompts of any length as chunks that a CLIP text encoder can take."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def chunked(
    tokenizer: Any, prompts: Sequence[str], max_tokens: int | None = None
) -> tuple[Tensor, list[int]]:
    """Token ids [n, chunks, length] and the number of chunks that each prompt needs.

    A chunk is bos, up to length - 2 tokens, eos and padding; length is the tokenizer's (77 for
    Stable Diffusion). Prompts are cut at `max_tokens` without bos and eos; all get the chunks of
    the longest, which for the others hold no words. A short prompt is one chunk, as the
    pipeline of diffusers makes it."""
    length = tokenizer.model_max_length
    room = length - 2
    encoded = tokenizer(list(prompts), add_special_tokens=False, verbose=False)["input_ids"]
    encoded = [ids if max_tokens is None else ids[:max_tokens] for ids in encoded]
    needed = [max(1, -(-len(ids) // room)) for ids in encoded]
    rows = torch.full((len(encoded), max(needed), length), tokenizer.pad_token_id)
    rows[:, :, 0] = tokenizer.bos_token_id
    for n, ids in enumerate(encoded):
        for chunk in range(max(needed)):
            words = ids[chunk * room : (chunk + 1) * room]
            rows[n, chunk, 1 : 1 + len(words)] = torch.tensor(words, dtype=torch.long)
            rows[n, chunk, 1 + len(words)] = tokenizer.eos_token_id
    return rows, needed
