"""The concept oracle: does a picture show a concept, and what else does it show?

Classifiers for everything that `sights` knows of a picture. They judge what adapters draw; no
metric of a study uses them, and they share neither weights nor training pictures with its
encoders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from lycoris_bench.miniature.concepts.sights import TRUTHS, Sight, expected
from lycoris_bench.miniature.concepts.table import ConceptDesign
from lycoris_bench.miniature.networks import WEIGHTS, Classifier

Reading = dict[str, str]
"""The most likely value of each of TRUTHS."""
UNKNOWN = -100  # what cross-entropy leaves out


class ConceptOracle(Classifier):
    """Pictures to logits by truth."""

    values = TRUTHS


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
