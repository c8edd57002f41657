"""What a metric gives, checked: a finite number, or one an image. An error of the metric itself
names it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lycoris_bench.messages.errors import BenchError, doing
from lycoris_bench.messages.printable import printable
from lycoris_bench.registry import titled
from lycoris_bench.scoring.metrics.inputs import ScoredSet

Array = NDArray[Any]


def numbers(metric: Any, evaluate: Callable[[], Any], n: int, where: str) -> float | Array:
    """What a metric gives for n images. BenchError: it is neither a number nor one an image, or
    not one an image where pairs of images are compared.

    `where` says in a sentence which images they are."""
    name = titled("metric", metric.__name__, metric)
    with doing(f"evaluating {name} for {where}"):
        value = evaluate()
        array = np.asarray(value)
    allowed = ((n,),) if metric.paired else ((), (n,))
    if array.dtype.kind not in "fiu" or array.shape not in allowed:
        gave = f"numbers of shape {array.shape}" if array.shape else printable(repr(value), 60)
        needed = "one number an image" if metric.paired else "a number, or one number an image,"
        raise BenchError(f"{name} gave {gave} for {where}; {needed} is needed")
    return array if array.shape else value


def finite(metric: Any, value: float | Array, where: str) -> float | Array:
    """The same value. BenchError: it is, or holds, NaN or an infinity."""
    array = np.atleast_1d(value)
    if not np.isfinite(array).all():
        wrong = array[~np.isfinite(array)]
        some = f" for {len(wrong)} of {len(array)} images" if np.ndim(value) else ""
        raise BenchError(
            f"{titled('metric', metric.__name__, metric)} gave {wrong[0]}{some} in {where}; finite "
            "numbers are needed"
        )
    return value


def place(scored: ScoredSet) -> str:
    """Which images a set has, for a sentence: "prompt type 'trigger' of toys/bunny"."""
    concept = "/".join(filter(None, (scored.category, scored.class_name, scored.subclass)))
    images = f"prompt type '{scored.prompt_type}'" if scored.prompt_type else "the given images"
    concept += f" and {scored.second}" if scored.second else ""
    return f"{images} of {concept}" if concept else images
