"""Captions as the U-Net's conditioning, as often as the text encoder's training makes needful."""

from collections.abc import Sequence

import torch

from lycoris_bench.diffusion.backbone import Backbone, Conditioning


class Captions:
    """Conditioning of a batch's captions. A caption that a batch repeats is embedded once; and
    once a run where no adapter changes the text encoder, as its output then stays the same."""

    def __init__(self, backbone: Backbone, max_tokens: int, clip_skip: int) -> None:
        self.backbone, self.max_tokens, self.clip_skip = backbone, max_tokens, clip_skip
        # Whether the text encoder is trained is asked of its output: adapters may be hooked in
        # in ways that its list of parameters does not show.
        self.trained = self._embed([""]).hidden.requires_grad
        self._kept: dict[str, Conditioning] = {}

    def __call__(self, captions: Sequence[str]) -> Conditioning:
        unique = list(dict.fromkeys(captions))
        text = self._embed(unique) if self.trained else self._remembered(unique)
        if len(unique) == len(captions):
            return text
        rows = torch.tensor([unique.index(c) for c in captions], device=text.hidden.device)
        return Conditioning(text.hidden[rows], None if text.mask is None else text.mask[rows])

    def _embed(self, captions: Sequence[str]) -> Conditioning:
        return self.backbone.condition(captions, self.max_tokens, self.clip_skip)

    def _remembered(self, captions: Sequence[str]) -> Conditioning:
        for caption in captions:
            if caption not in self._kept:
                self._kept[caption] = Conditioning(self._embed([caption]).hidden[0].cpu(), None)
        rows = [self._kept[caption].hidden for caption in captions]
        return stacked(rows, self.backbone.device)


def stacked(rows: Sequence[torch.Tensor], device: torch.device) -> Conditioning:
    """Embeddings [length, d] of unlike length as one batch, with the mask that tells."""
    hidden = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True).to(device)
    lengths = torch.tensor([len(row) for row in rows])
    if int(lengths.min()) == hidden.shape[1]:
        return Conditioning(hidden, None)
    mask = lengths[:, None] > torch.arange(hidden.shape[1])
    return Conditioning(hidden, mask.to(device))
