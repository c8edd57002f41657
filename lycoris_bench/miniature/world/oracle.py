"""The oracle: what does a picture of the world show?

Classifiers for object, colour, background, style and position, trained on renders, where the
truth is known.  They measure the base model and the fine-tuned ones; no metric uses them.
"""

from __future__ import annotations

from pathlib import Path

import torch

from lycoris_bench.miniature.networks import WEIGHTS, Classifier
from lycoris_bench.miniature.world.scene import (
    BACKGROUNDS,
    COLOURS,
    OBJECTS,
    POSITIONS,
    STYLE_NAMES,
    Scene,
)

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "object": OBJECTS,
    "colour": tuple(COLOURS),
    "background": BACKGROUNDS,
    "style": STYLE_NAMES,
    "position": tuple(POSITIONS),
}


class Oracle(Classifier):
    """Pictures to logits by attribute."""

    values = ATTRIBUTES


def load_oracle(path: Path = WEIGHTS / "oracle.safetensors") -> Oracle:
    """The shipped oracle."""
    return Oracle.load(path)


def labels(scenes: list[Scene]) -> dict[str, torch.Tensor]:
    """Attribute indices, -100 (ignored by cross-entropy) where an empty place has none."""
    out = {}
    for name, values in ATTRIBUTES.items():
        index = [values.index(v) if (v := getattr(s, name)) in values else -100 for s in scenes]
        if name in ("colour", "position"):
            index = [i if s.object else -100 for i, s in zip(index, scenes, strict=True)]
        out[name] = torch.tensor(index)
    return out


@torch.no_grad()
def accuracy(oracle: Oracle, x: torch.Tensor, scenes: list[Scene]) -> dict[str, float]:
    """Share of the labelled pictures that show what the scene says, by attribute."""
    truth = labels(scenes)
    logits = [oracle(part) for part in x.split(100)]
    result = {}
    for name, target in truth.items():
        guess, known = torch.cat([part[name] for part in logits]).argmax(1), target >= 0
        result[name] = float((guess == target)[known].float().mean())
    return result
