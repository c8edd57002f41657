"""Captions as conditioning: each is embedded once, or at each step where a text encoder learns."""

from collections.abc import Sequence

import torch

from lycoris_bench.models.backbone import Backbone
from lycoris_bench.models.conditioning import Conditioning, stacked
from lycoris_bench.training.ahead import sent


class Captions:
    """Conditioning of a batch's captions. A caption that a batch repeats is embedded once; and
    once a run where no adapter changes the text encoder, as its output then stays the same."""

    def __init__(self, backbone: Backbone, max_tokens: int, clip_skip: int) -> None:
        self.backbone, self.max_tokens, self.clip_skip = backbone, max_tokens, clip_skip
        # Whether the text encoder is trained is asked of its output: adapters may be hooked in
        # in ways that its list of parameters does not show.
        self.trained = self._embed([""]).requires_grad
        self._kept: dict[str, Conditioning] = {}

    def __call__(self, captions: Sequence[str]) -> Conditioning:
        unique = list(dict.fromkeys(captions))
        text = self._embed(unique) if self.trained else self._remembered(unique)
        if len(unique) == len(captions):
            return text
        rows = torch.tensor([unique.index(c) for c in captions])
        return text.rows(sent(rows, text.hidden.device))

    def _embed(self, captions: Sequence[str]) -> Conditioning:
        return self.backbone.condition(captions, self.max_tokens, self.clip_skip)

    def _remembered(self, captions: Sequence[str]) -> Conditioning:
        cpu = torch.device("cpu")
        for caption in captions:
            if caption not in self._kept:
                self._kept[caption] = self._embed([caption]).to(cpu)
        texts = stacked([self._kept[caption] for caption in captions])
        return texts.each(lambda value: sent(value, self.backbone.device))
