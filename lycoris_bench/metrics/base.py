"""What a metric is: a pure function whose parameter names are its inputs.

    @metric(better="higher", encoder="image")
    def image_similarity(generated, reference): ...

Inputs, in terms of one image set of n images:
- `generated` [n, d]: features of its images, not normalised (for "gram": a list of [n, c, c]);
- `reference` [m, d]: features of the dataset's images of the same concept;
- `text` [n, d]: row i holds the features of image i's own text;
- `base` [n, d]: features of the base model's images, row i with the prompt and seed of image i;
- `groups` [n]: the diversity group of each image (its prompt for alter, else 0).

It returns one number for the set, or one number per image (a float64 array [n]) whose mean is
the metric's value. Arithmetic is float64. Bad input is a ValueError of one sentence.
"""

import inspect
from collections.abc import Callable
from typing import Any, Literal, Protocol, cast, get_args

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Better = Literal["higher", "lower"]
EncoderKind = Literal["image", "text", "gram"]

INPUTS = ("generated", "reference", "text", "base", "groups")


class Metric(Protocol):
    """A metric function and the facts it knows about itself."""

    __name__: str
    better: Better  # the direction in which the number improves
    encoder: EncoderKind  # image features, a text and image space, or Gram matrices
    version: int  # raised whenever a value can move: it is part of each score's fingerprint
    inputs: tuple[str, ...]

    def __call__(self, *args: Any, **kwargs: Any) -> float | Array: ...


def metric(
    *, better: Better, encoder: EncoderKind, version: int = 1
) -> Callable[[Callable[..., float | Array]], Metric]:
    """Decorate a function with its facts; the function itself stays as it is."""
    if better not in get_args(Better):
        raise ValueError(f"better is '{better}'; allowed are: {', '.join(get_args(Better))}")
    if encoder not in get_args(EncoderKind):
        raise ValueError(f"encoder is '{encoder}'; allowed are: {', '.join(get_args(EncoderKind))}")

    def decorate(function: Callable[..., float | Array]) -> Metric:
        inputs = tuple(inspect.signature(function).parameters)
        if unknown := [name for name in inputs if name not in INPUTS]:
            raise ValueError(
                f"metric {function.__name__} asks for {', '.join(unknown)}; "
                f"inputs are: {', '.join(INPUTS)}"
            )
        decorated = cast(Metric, function)
        decorated.better, decorated.encoder = better, encoder
        decorated.version, decorated.inputs = version, inputs
        return decorated

    return decorate
