"""How near images are to their nearest training image, and real images to each other: what the
metrics of copying are made of.

Of each training image r_j the cosine to the nearest of the others, a_j = max_k≠j <r^_j, r^_k>
(leave one out), says how near real images of the concept are. With a held-out image of the same
distribution they are m + 1 images, of which each is as likely as another to be in the closest pair.
The held-out one is nearer to a training image than every a_j where it is in that pair: in 2 of
m + 1 cases, whatever the features and the distribution."""

from typing import Any

import numpy as np

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.scoring.metrics.arrays import unit, unit_pair
from lycoris_bench.scoring.metrics.base import Array
from lycoris_bench.scoring.metrics.inputs import INPUTS, Input

LEAST = 2  # training images: one alone is near to no other
SAME = 1 - 1e-9  # cosine of an image to itself, as batches of other sizes round it
AT_ONCE = 512  # generated images whose cosines are in memory together
ASKED = ("train", "trigger", "alter")  # prompts that ask for the concept
TRAINING = Input(
    "training",
    available=lambda s: len({uid for uid, _ in s.reference}) >= LEAST,
    needs="two different images of the dataset to compare with",
    images=INPUTS["reference"].images,
    collection=INPUTS["reference"].collection,
    identity=INPUTS["reference"].identity,
)
"""The features of the dataset's images of the concept, [m, d], m at least 2."""


def nearest(generated: Any, training: Any) -> tuple[Array, np.ndarray]:
    """Of each generated image the largest cosine to a training image, and the row of that; of
    several that are as near it is the first: [n] and [n]."""
    z, r = unit_pair(generated, training, ("generated", "training"))
    cosines, rows = np.empty(len(z)), np.empty(len(z), dtype=np.int64)
    for start in range(0, len(z), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        of_pairs = z[part] @ r.T
        rows[part], cosines[part] = of_pairs.argmax(axis=1), of_pairs.max(axis=1)
    return cosines, rows


def partners(generated: Any, training: Any) -> list[int]:
    """The row of each generated image's nearest training image."""
    return [int(row) for row in nearest(generated, training)[1]]


def among_real(training: Any) -> Array:
    """Of each training image the largest cosine to another, ascending: [m]. An image that is there
    twice is one image."""
    r = unit(training, "training")
    r = r[~np.triu(r @ r.T > SAME, 1).any(axis=0)]
    if len(r) < LEAST:
        raise BenchError(
            "training has no two images that differ: how near real images are is not known"
        )
    cosines = r @ r.T
    np.fill_diagonal(cosines, -np.inf)
    closest: Array = np.sort(cosines.max(axis=1))
    return closest
