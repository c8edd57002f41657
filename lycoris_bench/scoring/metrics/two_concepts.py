"""What metrics of prompts of two concepts share: the second concept's images, and which of the two
an image shows as far as an encoder can tell."""

from dataclasses import replace
from typing import Any

import numpy as np

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.scoring.metrics.arrays import unit_pair
from lycoris_bench.scoring.metrics.base import Array
from lycoris_bench.scoring.metrics.inputs import INPUTS, Input

COMPOSE = ("compose",)  # the prompt types of two concepts
SIDES = ("reference", "second_reference")
SHARE = 2 / 3  # of the way from the other concept to one of the two
SECOND_REFERENCE = Input(
    "second_reference",
    available=lambda s: bool(s.second_reference),
    needs="prompts of two concepts",
    images=lambda s: s.second_reference,
    collection="reference",
    identity=lambda s: [uid for uid, _ in s.second_reference],
)
"""The dataset's images of the second concept."""
SEVERAL = replace(
    INPUTS["reference"],
    available=lambda s: min(len(s.reference), len(s.second_reference)) > 1,
    needs="prompts of two concepts with two images or more each",
)
"""The dataset's images of the first concept, where those of either can be compared among
themselves."""


def found(generated: Any, own: Any, other: Any, names: tuple[str, str] = SIDES) -> Array:
    """1 for each image that has come two thirds of the way from the other concept's images to a
    concept's own, else 0. `names` are those of `own` and `other` in messages.

        s_i > B + 2/3 (R - B),   s_i = <z^_i, mean own^>,   B = <mean other^, mean own^>,
        R = mean over j of <own^_j, mean of the others of own^>

    generated [n, d], own [m >= 2, d], other [k, d] -> [n]. B is what images come to that show the
    other concept alone, R what the concept's own do. An image that shows both as much, z ~ own +
    other, comes to sqrt((1 + B) / 2) where R is 1: for B from -1/2 to 1 that lies above the line,
    for either, and no simple share above two thirds keeps to that (at B = 0 it is 0.707)."""
    z, r = unit_pair(generated, own, ("generated", names[0]))
    beside = unit_pair(generated, other, ("generated", names[1]))[1]
    centre, m = r.mean(axis=0), len(r)
    if m < 2:
        raise BenchError(f"{names[0]} has one image; two are needed, to compare them")
    among_own = (m * float(centre @ centre) - 1) / (m - 1)
    from_other = float(beside.mean(axis=0) @ centre)
    line = from_other + SHARE * (among_own - from_other)
    return np.where(z @ centre > line, 1.0, 0.0)
