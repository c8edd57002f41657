"""What a run says of how much is enough, in lines to print."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from lycoris_bench.analysis.columns import CRITERIA, Criterion
from lycoris_bench.analysis.enough.components import by_images, mean_of
from lycoris_bench.analysis.enough.curves import Number, Point
from lycoris_bench.analysis.enough.held_out import held_out
from lycoris_bench.analysis.enough.sampled import Sampled
from lycoris_bench.messages.numbers import ABSENT, fixed, percent

Curves = Mapping[str, Sequence[Point]]  # by what varies
HEADER = f"{'':<12} {'order as of all':<18} {'as in truth':<18} smallest difference"
ONE_SEED = (
    "One seed: the differences are between checkpoints; how far a second training would be from "
    "the first is in none of the numbers."
)


def lines(found: Mapping[str, Sampled], curves: Mapping[str, Curves]) -> Iterator[str]:
    """Of each criterion its curves, its variance components and the check by a held-out half."""
    if any(scores.seeds == 1 for scores in found.values()):
        yield ONE_SEED
    for criterion in CRITERIA:
        if criterion.key in found:
            yield from ("", *_of_criterion(criterion, found, curves))


def _of_criterion(
    criterion: Criterion, found: Mapping[str, Sampled], curves: Mapping[str, Curves]
) -> Iterator[str]:
    scores = found[criterion.key]
    size = f"{scores.configurations} x {scores.seeds} x {scores.classes}"
    yield (
        f"{criterion.heading}: {size} configurations, seeds and classes, {scores.images} images "
        "a set"
    )
    yield HEADER
    for axis, points in curves[criterion.key].items():
        if len(points) > 1:
            yield from (_row(axis, point, scores) for point in points)
    yield from _components(scores)
    yield from _held_out(scores)


def _row(axis: str, point: Point, scores: Sampled) -> str:
    ahead = " (foretold)" if is_foretold(axis, point, scores) else ""
    orders = f"{number(point.tau):<18} {number(point.tau_true):<18}"
    return f"{axis:<8}{point.count:>4} {orders} {number(point.difference)}{ahead}"


def is_foretold(axis: str, point: Point, scores: Sampled) -> bool:
    """Whether it is of more images than were drawn."""
    return axis == "images" and point.count > scores.images


def number(found: Number) -> str:
    """The number with its interval; without, where it can be no other."""
    if np.isnan(found.value):
        return ABSENT
    if found.value > 1:
        return "none"  # scores are at most 1 apart
    if found.low == found.high:
        return fixed(found.value)
    return f"{fixed(found.value)} ({fixed(found.low)} to {fixed(found.high)})"


def _components(scores: Sampled) -> Iterator[str]:
    found = by_images(scores)
    parts = found.fixed if found else mean_of(scores.whole[None])
    each = found.per_image if found else None
    names = {"of_seeds": "seeds", "of_classes": "classes", "residual": "seeds x classes"}
    said = []
    for name, shown in names.items():
        if scores.seeds > 1 or name == "of_classes":
            of_image = each and name != "of_seeds"
            averaged = f" + {fixed(getattr(each, name), 3)} / n" if of_image else ""
            said.append(f"{shown} {fixed(getattr(parts, name), 3)}{averaged}")
    yield f"variance of a difference, by n images: {'; '.join(said)}"
    if found:
        shared = max(found.shared, 0.0)
        yield (
            f"of an image's noise and prompt all classes share {fixed(shared, 3)} / n: ± "
            f"{fixed((shared / scores.images) ** 0.5)} of a difference by {scores.images} images, "
            "which no error counts"
        )


def _held_out(scores: Sampled) -> Iterator[str]:
    if checked := held_out(scores.whole):
        yield (
            f"held-out half: the components of the other half foretell that {checked.classes} "
            f"classes find {percent(checked.foretold)} of {checked.pairs} pairs named before; they "
            f"find {percent(checked.found)}"
        )
