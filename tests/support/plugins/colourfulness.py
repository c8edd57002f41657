"""How colourful images look, by their pixels: a metric that no encoder is needed for."""

from typing import Any

import numpy as np

from lycoris_bench.scoring.metrics.base import Array, metric
from lycoris_bench.scoring.metrics.inputs import Input


def opponents(picture: Any) -> Array:
    """Mean and variance of red - green and of yellow - blue: [2, 2]."""
    red, green, blue = np.asarray(picture.image, dtype=np.float64).reshape(-1, 3).T
    both = np.stack([red - green, (red + green) / 2 - blue])
    return np.stack([both.mean(axis=1), both.var(axis=1)])


PIXELS = Input(
    "pixels",
    available=lambda scored: bool(scored.generated),
    images=lambda scored: scored.generated,
    read=opponents,
)


@metric(better="higher", encoder=None, inputs=[PIXELS])
def colourfulness(pixels: Any) -> Array:
    """sqrt(var rg + var yb) + 0.3 sqrt(mean rg^2 + mean yb^2) of each image.

    pixels: a list of n [2, 2] -> [n]. Source: Hasler and Suesstrunk, Human Vision and Electronic
    Imaging 2003."""
    mean, variance = np.stack(pixels).transpose(1, 0, 2)
    colourful: Array = np.sqrt(variance.sum(1)) + 0.3 * np.sqrt(np.square(mean).sum(1))
    return colourful
