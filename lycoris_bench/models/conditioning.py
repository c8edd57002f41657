"""Text to conditioning: prompts are cut into chunks of tokens, each chunk passes through the text
encoder, and their embeddings, one after the other, are what the denoiser attends to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from lycoris_bench.messages.errors import BenchError


@dataclass(frozen=True)
class Conditioning:
    """The conditioning of a batch: the text embeddings and other inputs of the denoiser.

    It attends to embeddings [n, length, d], of which the mask [n, length] says which count (None:
    all). Prompts of fewer chunks than their neighbours are masked, so that a prompt means the same
    whatever it shares a batch with. `added` holds what a family tells besides, by the denoiser's
    own names, each [n, ...]."""

    hidden: Tensor
    mask: Tensor | None = None
    added: dict[str, Tensor] = field(default_factory=dict)

    def each(self, change: Callable[[Tensor], Tensor]) -> "Conditioning":
        """The conditioning with `change` applied to each tensor."""
        mask = None if self.mask is None else change(self.mask)
        added = {name: change(value) for name, value in self.added.items()}
        return Conditioning(change(self.hidden), mask, added)

    def rows(self, index: Tensor | slice) -> "Conditioning":
        """Rows of the batch, in the order of `index`."""
        return self.each(lambda value: value[index])

    def to(self, device: torch.device) -> "Conditioning":
        """The conditioning on another device."""
        return self.each(lambda value: value.to(device))

    def telling(self, **added: Tensor) -> "Conditioning":
        """The conditioning with more inputs in `added`."""
        return replace(self, added={**self.added, **added})

    def masked(self) -> "Conditioning":
        """The same conditioning with a mask, also where all of the embeddings count."""
        everything = torch.ones(self.hidden.shape[:2], dtype=torch.bool, device=self.hidden.device)
        return self if self.mask is not None else replace(self, mask=everything)

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow back into the text encoders."""
        return any(value.requires_grad for value in (self.hidden, *self.added.values()))


def stacked(texts: Sequence[Conditioning]) -> Conditioning:
    """Conditionings of one row each as one batch, padded to the longest, with their mask."""
    rows = [text.hidden[0] for text in texts]
    hidden = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = counting([len(row) for row in rows], hidden)
    added = {name: torch.cat([text.added[name] for text in texts]) for name in texts[0].added}
    return Conditioning(hidden, mask, added)


def counting(lengths: Sequence[int], hidden: Tensor) -> Tensor | None:
    """The mask [n, length] of the embeddings [n, length, d] that count: the first `lengths[k]` of
    row k. None where all of them count."""
    if min(lengths) >= hidden.shape[1]:
        return None
    return (torch.tensor(lengths)[:, None] > torch.arange(hidden.shape[1])).to(hidden.device)


def chunked(
    tokenizer: Any, prompts: Sequence[str], max_tokens: int | None = None
) -> tuple[Tensor, list[int]]:
    """Token ids [n, chunks, length] and the number of chunks that each prompt needs.

    A chunk is bos, up to length - 2 tokens, eos and padding; length is the tokenizer's (77 for
    CLIP). Prompts are cut at `max_tokens` without bos and eos; all get the chunks of the longest,
    which for the others hold no words. A short prompt is one chunk, as the pipeline of diffusers
    makes it."""
    length = tokenizer.model_max_length
    room = length - 2
    tokens = tokenizer(list(prompts), add_special_tokens=False, verbose=False)["input_ids"]
    tokens = [ids if max_tokens is None else ids[:max_tokens] for ids in tokens]
    needed = [max(1, -(-len(ids) // room)) for ids in tokens]
    rows = torch.full((len(tokens), max(needed), length), tokenizer.pad_token_id)
    rows[:, :, 0] = tokenizer.bos_token_id
    for n, ids in enumerate(tokens):
        for chunk in range(max(needed)):
            words = ids[chunk * room : (chunk + 1) * room]
            rows[n, chunk, 1 : 1 + len(words)] = torch.tensor(words, dtype=torch.long)
            rows[n, chunk, 1 + len(words)] = tokenizer.eos_token_id
    return rows, needed


def encoded(encoder: Any, ids: Tensor, needed: Sequence[int], clip_skip: int = 1) -> Conditioning:
    """Encodes token ids [n, chunks, length] with a CLIP text encoder: its last layer after the
    final norm, or with `clip_skip` 2 the layer before it after the same norm, and so on.
    BenchError: `clip_skip` goes past the first layer."""
    n, chunks, length = ids.shape
    flat = ids.reshape(n * chunks, length)
    if clip_skip == 1:
        hidden = encoder(flat)[0]
    else:
        layers = encoder(flat, output_hidden_states=True).hidden_states
        hidden = getattr(encoder, "text_model", encoder).final_layer_norm(back(layers, clip_skip))
    hidden = hidden.reshape(n, chunks * length, -1)
    return Conditioning(hidden, counting([length * chunks for chunks in needed], hidden))


def back(layers: Sequence[Tensor], count: int) -> Tensor:
    """The output of the layer `count` from the end; `layers` begins with the encoder's input.
    BenchError: there are fewer layers."""
    if count >= len(layers):
        raise BenchError(
            f"clip_skip goes back {count} layers, but the text encoder has {len(layers) - 1} layers"
        )
    return layers[-count]
