"""What a metric is: a pure function whose parameter names are its inputs.

    @metric(better="higher", encoder="image")
    def image_similarity(generated, reference): ...

Inputs (inputs.py), in terms of one image set of n images:
- `generated` [n, d]: features of its images, not normalised (for "gram": a list of [n, c, c]);
- `reference` [m, d]: features of the dataset's images of the same concept;
- `text` [n, d]: row i holds the features of image i's own text;
- `base` [n, d]: features of the base model's images, row i with the prompt and seed of image i;
- `groups` [n]: the diversity group of each image (its prompt for alter, else 0);
- `weights`: how much each image of `generated` [n] and of `reference` [m] counts, a pair;
- rows of the metric's own (`inputs`), such as pixels or a person's ratings.

A metric of the whole checkpoint (`whole`) gets the images of all concepts at once. One of pooled
Gram matrices (`pooled`) gets a `GramSet` for its images (gram_statistics.py); any other of Gram
matrices compares `generated` with `base`, one number per image. One whose value depends on
n (`equal_n`) is not computed for real images, which are never as many: it has no ceiling.

It returns one number for the set, or one number per image (a float64 array [n]) whose mean is
the metric's value. Arithmetic is float64. Bad input is a BenchError of one sentence.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Protocol, cast, get_args

import numpy as np
from numpy.typing import NDArray

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.scoring.metrics.inputs import INPUTS, Input

Array = NDArray[np.float64]
Better = Literal["higher", "lower"]
EncoderKind = Literal["image", "text", "gram", "copy"]
OUTPUTS: dict[EncoderKind, tuple[str, ...]] = {
    "image": ("image", "image+text"),
    "text": ("image+text",),
    "gram": ("gram",),
    "copy": ("image", "image+text", "copy"),
}
"""Kind of encoder that a metric needs -> the outputs of encoders that suit it."""
Partners = Callable[..., Sequence[int]]
"""Of a metric's inputs: for each generated image, a row of the dataset's images."""
NO_ENCODER = "none"  # the encoder and the resizing of a metric that needs neither, in tables


class Metric(Protocol):
    """A metric function and its attributes."""

    __name__: str
    called: str  # its name in the metric table: the function's, but for another view of the same
    better: Better  # the direction in which the number improves
    # image features, a text and image space, Gram matrices, copy detection or image features, none
    encoder: EncoderKind | None
    version: int  # raised whenever a value can move: it is part of each score's fingerprint
    inputs: tuple[Input, ...]
    prompt_types: tuple[str, ...]  # those it is meant for; none: all whose inputs are there
    kinds: tuple[str, ...]  # likewise, of concepts: "style"
    whole: bool  # one number for all concepts of a checkpoint together
    pooled: bool  # what it needs of Gram matrices is their mean and spread
    equal_n: bool  # what it gives on average depends on n: only sets of equal n compare
    on_request: bool  # only for studies that name it
    paired: bool  # it compares Gram matrices image by image, batch by batch as the images pass
    partners: Partners | None  # which of the dataset's images each image's number is about
    ready: Callable[[], object] | None  # raises a BenchError where this machine lacks something

    def __call__(self, *args: Any, **kwargs: Any) -> float | Array: ...


def metric(
    *,
    better: Better,
    encoder: EncoderKind | None,
    inputs: Iterable[Input] = (),
    version: int = 1,
    called: str = "",
    prompt_types: tuple[str, ...] = (),
    kinds: tuple[str, ...] = (),
    whole: bool = False,
    pooled: bool = False,
    equal_n: bool = False,
    on_request: bool = False,
    partners: Partners | None = None,
    ready: Callable[[], object] | None = None,
) -> Callable[[Callable[..., float | Array]], Metric]:
    """Decorates a function with its attributes; the function itself is unchanged.

    `inputs` are rows of its own, for parameters that `INPUTS` does not have."""
    if better not in get_args(Better):
        raise BenchError(f"better is '{better}'; allowed are: {', '.join(get_args(Better))}")
    if encoder is not None and encoder not in OUTPUTS:
        raise BenchError(f"encoder is '{encoder}'; allowed are: {', '.join(OUTPUTS)}, or None")
    table = INPUTS | {row.name: row for row in inputs}

    def decorate(function: Callable[..., float | Array]) -> Metric:
        names = tuple(inspect.signature(function).parameters)
        if unknown := [name for name in names if name not in table]:
            raise BenchError(
                f"metric {function.__name__} asks for {', '.join(unknown)}; "
                f"inputs are: {', '.join(table)}"
            )
        decorated = cast(Metric, function)
        decorated.called = called or function.__name__
        decorated.better, decorated.encoder = better, encoder
        decorated.version, decorated.inputs = version, tuple(table[name] for name in names)
        decorated.prompt_types, decorated.kinds = prompt_types, kinds
        decorated.whole, decorated.pooled, decorated.equal_n = whole, pooled, equal_n
        decorated.on_request = on_request
        decorated.partners, decorated.ready = partners, ready
        decorated.paired = encoder == "gram" and not pooled
        _check(decorated)
        return decorated

    return decorate


def _check(metric: Metric) -> None:
    """BenchError: no encoder of the metric's kind makes what it asks for."""
    names = [row.name for row in metric.inputs]
    encoded = [row.name for row in metric.inputs if row.is_encoded]
    if metric.encoder is None and encoded:
        raise BenchError(
            f"metric {metric.__name__} asks for {', '.join(encoded)}, which an encoder makes; "
            f"encoder is None, allowed for that are: {', '.join(OUTPUTS)}"
        )
    if metric.encoder != "text" and "text" in names:
        raise BenchError(f"metric {metric.__name__} asks for text; its encoder must be 'text'")
    if metric.paired and names != ["generated", "base"]:
        raise BenchError(
            f"metric {metric.__name__} of Gram matrices asks for {', '.join(names)}; allowed are "
            "generated and base, image by image, or pooled=True for whole sets"
        )
