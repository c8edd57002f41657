"""Makes the base model's text encoder hear the words that no caption taught it."""

from typing import Any

import torch

from lycoris_bench.miniature.world.words import TRIGGERS, world_words

SEED = 8


@torch.no_grad()
def wake_triggers(text_encoder: Any, tokenizer: Any) -> Any:
    """Draw the triggers' embeddings, which were never trained, from the normal distribution of
    the trained ones: mean + Z (W - mean) / sqrt(n - 1), W being the n trained rows.

    A large text encoder has met its rare words, and tells them apart. This one hears only the
    directions in which its own words differ: with embeddings of another length or direction every
    trigger sounds like the next, and fine-tuning cannot tell concepts apart."""
    rows = text_encoder.get_input_embeddings().weight
    words, triggers = (
        torch.tensor(tokenizer.convert_tokens_to_ids(list(names)))
        for names in (world_words(), TRIGGERS)
    )
    trained = rows[words].float()
    mean = trained.mean(0)
    drawn = torch.randn(
        len(triggers), len(words), generator=torch.Generator().manual_seed(SEED)
    )  # fmt: skip
    spread = drawn @ (trained - mean) / (len(words) - 1) ** 0.5
    rows[triggers] = (mean + spread).to(rows.dtype)
    return text_encoder
