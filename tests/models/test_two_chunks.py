"""Captions of up to 150 tokens in two chunks of 75 (D.2): the same text for training and drawing.
The tiny tokenizer has a token a character and chunks of 14, so that 28 stands for 150."""

import torch

from lycoris_bench.sampling.sample import PromptConditioning
from lycoris_bench.training.caption_embeddings import Captions

LONG = "abcdefghijklmnopqrst"  # 20 tokens


def by_hand(backbone, text):
    """Each chunk alone through the text encoder, then one after the other."""
    ids = backbone.tokenizer.convert_tokens_to_ids
    words = backbone.tokenizer(text, add_special_tokens=False)["input_ids"]
    bos, eos = ids("<|startoftext|>"), ids("<|endoftext|>")
    parts = []
    for start in range(0, len(words), 14):
        row = [bos, *words[start : start + 14], eos]
        row += [backbone.tokenizer.pad_token_id] * (16 - len(row))
        with torch.no_grad():
            parts.append(backbone.text_encoder(torch.tensor([row]))[0][0])
    return torch.cat(parts)


def test_training_and_drawing_read_the_same_two_chunks(backbone):
    expected = by_hand(backbone, LONG)
    assert expected.shape == (32, 16)
    trained = Captions(backbone, max_tokens=28, clip_skip=1)([LONG])
    drawn = PromptConditioning(backbone)([LONG])
    assert torch.allclose(trained.hidden[0], expected, atol=1e-6)
    assert torch.allclose(drawn.hidden[1], expected, atol=1e-6)
    assert torch.equal(trained.hidden[0], drawn.hidden[1])


def test_in_a_batch_the_short_caption_is_one_chunk_and_the_rest_is_masked(backbone):
    trained = Captions(backbone, max_tokens=28, clip_skip=1)(["abc", LONG])
    assert torch.allclose(trained.hidden[0, :16], by_hand(backbone, "abc"), atol=1e-6)
    assert trained.mask is not None
    assert trained.mask.tolist() == [[True] * 16 + [False] * 16, [True] * 32]


def test_training_cuts_what_is_longer(backbone):
    """As the trainer of the authors does; and so what follows is never learned."""
    captions = Captions(backbone, max_tokens=28, clip_skip=1)
    longer = captions([LONG + "uvwxyzab cdef"])
    assert torch.equal(longer.hidden, captions([LONG + "uvwxyzab"]).hidden)
