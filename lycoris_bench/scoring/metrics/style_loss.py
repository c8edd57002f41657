"""How far the style of each image has moved from that of the base model's image."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.scoring.metrics.arrays import as_float64
from lycoris_bench.scoring.metrics.base import Array, metric


@metric(better="lower", encoder="gram")
def style_loss(generated: Sequence[Any], base: Sequence[Any]) -> Array:
    """Squared Frobenius distance of Gram matrices, summed over the layers (paper, D.4).

        L_i = sum_l | G_l(x_i) - G_l(b_i) |_F^2

    generated and base: one stack [n, c_l, c_l] a layer (five for VGG-19), row i of `base` being
    the base model's image with the prompt and noise seed of row i of `generated` -> [n].
    Images are taken one at a time: in float64 a hundred of VGG-19's five matrices are 0.5 GB.

    Source: Gatys, Ecker and Bethge, Image Style Transfer, CVPR 2016, without layer weights.
    """
    if not len(generated) or len(generated) != len(base):
        raise BenchError(
            f"generated has {len(generated)} layers and base {len(base)}; "
            "both need the same, at least one"
        )
    loss = np.zeros(_images(generated, base))
    for a, b in zip(generated, base, strict=True):
        for i in range(len(loss)):
            difference = as_float64(a[i], "generated") - as_float64(b[i], "base")
            loss[i] += np.square(difference).sum()
    return loss


def _images(generated: Sequence[Any], base: Sequence[Any]) -> int:
    """The number of images n, once each layer of both is [n, c, c] with the same n and c."""
    images = len(generated[0])
    for layer, (a, b) in enumerate(zip(generated, base, strict=True)):
        shape = tuple(a.shape)
        if shape != tuple(b.shape):
            raise BenchError(
                f"layer {layer}: generated has shape {list(shape)} and base {list(b.shape)}; "
                "each image is compared with the base image of its own prompt and seed"
            )
        if len(shape) != 3 or shape[1] != shape[2] or 0 in shape or shape[0] != images:
            raise BenchError(
                f"layer {layer} has shape {list(shape)}; expected are the Gram matrices of "
                f"{max(images, 1)} images, [images, channels, channels]"
            )
    return images
