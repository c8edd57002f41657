"""What is true of a picture of the miniature world: what it shows, and what its text asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lycoris_bench.miniature.concepts.sights import TRUTHS, expected
from lycoris_bench.miniature.concepts.table import CONCEPTS, ConceptDesign
from lycoris_bench.miniature.world.scene import COLOURS

Reading = Mapping[str, str]
"""The value of each of TRUTHS, and of BACKDROP, that a picture shows."""
BACKDROP = "backdrop"  # which of the world's colours is nearest to that of the picture's edge
EDGE = 4  # pixels
OTHER_STYLE = "style"  # the prompt type, and the kind of concept, that ask for a style of their own
ASKED = ("object", "colour", "place", "style", "position", "size")  # what a text can ask for
_CONCEPTS = {concept.key: concept for concept in CONCEPTS}
_FILE = Path(__file__).parent.parent / "weights/concept-oracle.safetensors"


def concept_of(*names: str) -> ConceptDesign | None:
    """The taught concept of that category, class and sub-class, or of all in one, or None."""
    return _CONCEPTS.get("/".join(filter(None, names)))


def read(picture: Any) -> Reading:
    """What a picture (`encoders.resize.Picture`) shows, by the concept oracle; made once for all
    who ask. It is read as it is: resized hatching is another style."""
    found: Reading = picture.once("truth", lambda: _read(np.asarray(picture.image)))
    return found


def _read(pixels: Any) -> Reading:
    import torch

    normal = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 127.5 - 1
    return {**_oracle().read(normal[None])[0], BACKDROP: _backdrop(pixels)}


def _backdrop(pixels: Any) -> str:
    inner = np.zeros(pixels.shape[:2], dtype=bool)
    inner[EDGE:-EDGE, EDGE:-EDGE] = True
    colour = np.median(pixels[~inner], axis=0)
    return min(COLOURS, key=lambda name: float(np.square(colour - COLOURS[name]).sum()))


@cache
def _oracle() -> Any:
    from lycoris_bench.miniature.concepts.oracle import load_concept_oracle

    return load_concept_oracle(_FILE)


@cache
def checksum() -> str:
    """SHA-256 of the oracle's weights."""
    return hashlib.sha256(_FILE.read_bytes()).hexdigest()


def shown_by(concept: ConceptDesign, prompt_type: str) -> Reading:
    """What a picture shows that shows the concept. A prompt that asks for a style of its own does
    not ask for the medium that a character was taught in."""
    truth = expected(concept)
    if prompt_type == OTHER_STYLE and "identity" in truth:
        truth = {"identity": truth["identity"]}
    return truth


def asked(text: str, concept: ConceptDesign) -> Reading:
    """What a text asks for besides the concept: a value for each of ASKED that it names.

    >>> bunny = concept_of("toys", "bunny", "")
    >>> asked("a small blue toy at sunset", bunny)
    {'place': 'sunset', 'size': 'small'}
    """
    words = f" {text.replace(',', ' , ')} ".replace(f" {concept.description} ", " ")
    found = {}
    for name in ASKED:
        for value in TRUTHS[name]:
            if f" {value} " in words:
                found[name] = value
    return found
