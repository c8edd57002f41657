"""Makes the base model's text encoder hear the words that no caption taught it."""

from typing import Any

import torch

from lycoris_bench.miniature.words import TRIGGERS, world_words


@torch.no_grad()
def wake_triggers(text_encoder: Any, tokenizer: Any) -> Any:
    """Give the triggers' embeddings, which were never trained, the length of trained ones.

    They keep their random directions. A large text encoder's rare words are as loud as its common
    ones; at the fifth of it that weight decay and a small start leave them, every trigger sounds
    like the next and fine-tuning cannot tell concepts apart."""
    rows = text_encoder.get_input_embeddings().weight
    words, triggers = (
        torch.tensor(tokenizer.convert_tokens_to_ids(list(names)))
        for names in (world_words(), TRIGGERS)
    )
    length = rows[words].float().norm(dim=1).median()
    rows[triggers] *= (length / rows[triggers].float().norm(dim=1, keepdim=True)).to(rows.dtype)
    return text_encoder
