"""The concept oracle: does a picture show a concept, and what else does it show?

Classifiers for everything that `sights` knows of a picture. They judge what adapters draw; no
metric of a study uses them, and they share neither weights nor training pictures with its
encoders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from lycoris_bench.miniature.concepts.sights import TRUTHS, Sight, expected
from lycoris_bench.miniature.concepts.table import ConceptDesign
from lycoris_bench.miniature.networks import WEIGHTS, Stored, Trunk

Reading = dict[str, str]
"""The most likely value of each of TRUTHS."""
UNKNOWN = -100  # what cross-entropy leaves out


class ConceptOracle(Stored):
    """Pictures (n, 3, h, w) in -1..1 to logits by truth."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.squeeze = nn.Conv2d(128, 48, 1)
        self.hidden = nn.Linear(48 * 16 + 256, 192)
        self.heads = nn.ModuleDict({k: nn.Linear(192, len(v)) for k, v in TRUTHS.items()})

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        h = self.trunk(x)
        grid = F.adaptive_avg_pool2d(F.relu(self.squeeze(h)), 4).flatten(1)
        h = F.relu(self.hidden(torch.cat([grid, h.mean((2, 3)), h.amax((2, 3))], dim=1)))
        return {k: head(h) for k, head in self.heads.items()}

    @torch.no_grad()
    def read(self, pictures: np.ndarray) -> list[Reading]:
        """What pictures show, uint8 (n, h, w, 3)."""
        x = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
        found = {k: v.argmax(1).tolist() for k, v in self.forward(x).items()}
        return [{k: TRUTHS[k][rows[i]] for k, rows in found.items()} for i in range(len(x))]


def load_concept_oracle(path: Path = WEIGHTS / "concept-oracle.safetensors") -> ConceptOracle:
    """The shipped oracle."""
    return ConceptOracle.load(path)


def labels(sights: Sequence[Sight]) -> dict[str, torch.Tensor]:
    """Indices of each truth; UNKNOWN where a sight does not say."""
    index = {name: {value: k for k, value in enumerate(values)} for name, values in TRUTHS.items()}
    return {
        name: torch.tensor([known.get(getattr(seen, name), UNKNOWN) for seen in sights])
        for name, known in index.items()
    }


def shows(reading: Reading, concept: ConceptDesign) -> bool:
    """Whether a picture shows the concept."""
    return all(reading[name] == value for name, value in expected(concept).items())
