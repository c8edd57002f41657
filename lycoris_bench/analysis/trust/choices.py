"""Do the paper's choices bring a ranking nearer to the truth: ranks in place of values, the mean
over classes, the cosine of all pairs in place of the distance of centroids?"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from lycoris_bench.analysis.trust.agreement import LEAST, pairs
from lycoris_bench.analysis.trust.cells import Cells, Leaves, Side, interval, shared
from lycoris_bench.analysis.trust.orders import kendall, kendall_of_each
from lycoris_bench.analysis.trust.truths import truth_of

Array = np.ndarray
RANKS = "ranks in place of values"
CLASSES = "the mean over classes in place of one class"
COSINE = "image similarity in place of centroid distance"
COLUMNS = [
    "choice", "category", "prompt_type", "truth", "asks", "metric", "encoder", "resize", "tau",
    "tau_without", "gain", "gain_low", "gain_high", "points", "seeds", "classes",
]  # fmt: skip


def choices(all_cells: Iterable[Cells]) -> pd.DataFrame:
    """Kendall's tau with the truth with and without each choice, and what is gained by it, with the
    interval of the jackknife over classes and seeds. Of the questions that a metric is asked, and
    each encoder's first resizing."""
    rows = [row for cells in all_cells for row in _of(cells)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _of(cells: Cells) -> Iterator[dict[str, Any]]:
    by_view = {side.view: side for side in cells.sides}
    first = {view[:2]: view for view in reversed(by_view)}
    for side, truth in pairs(cells):
        metric, encoder, resize = side.view
        asks = truth_of(metric, truth.view[0], cells.prompt_type)
        if not asks or first[metric, encoder] != side.view:
            continue
        about = {
            "category": cells.category, "prompt_type": cells.prompt_type, "truth": truth.view[0],
            "asks": asks, "metric": metric, "encoder": encoder, "resize": resize,
        }  # fmt: skip
        yield from _gain(RANKS, about, truth, side.score, side.value, _of_means)
        yield from _gain(CLASSES, about, truth, side.score, side.score, _of_single_classes)
        other = by_view.get(("centroid_distance", encoder, resize))
        if metric == "image_similarity" and other:
            yield from _gain(COSINE, about, truth, side.score, other.score, _of_means)


def _gain(
    choice: str,
    about: dict[str, Any],
    truth: Side,
    chosen: Array,
    otherwise: Array,
    without: Callable[[Array, Array], Array],
) -> Iterator[dict[str, Any]]:
    points, (first, second, rates) = shared(chosen, otherwise, truth.value)
    if len(points) < LEAST or (without is _of_single_classes and rates.shape[2] < 3):
        return
    taken, left = _of_means(first, rates), without(second, rates)
    gain, low, high = interval(Leaves.of(rates), taken - left)
    yield {
        "choice": choice, **about, "tau": taken[0], "tau_without": left[0],
        "gain": gain, "gain_low": low, "gain_high": high,
        "points": len(points), "seeds": rates.shape[1], "classes": rates.shape[2],
    }  # fmt: skip


def _of_means(scores: Array, rates: Array) -> Array:
    """Tau of the means, by each leaf."""
    return kendall(Leaves.of(scores).means, Leaves.of(rates).means)


def _of_single_classes(scores: Array, rates: Array) -> Array:
    """The mean over the classes of tau between a single class's scores and the true mean of all
    classes, by each leaf."""
    seeds, classes = scores.shape[1:]
    true = Leaves.of(rates).means
    own = kendall_of_each(true, scores.mean(axis=1).T)
    result = [_mean(own[0])]
    result += [_mean(np.delete(own[1 + c], c)) for c in range(classes)]
    for s in range(seeds if seeds > 1 else 0):
        rest = np.delete(scores, s, axis=1).mean(axis=1).T
        result.append(_mean(kendall_of_each(true[[1 + classes + s]], rest)))
    return np.array(result)


def _mean(taus: Array) -> float:
    """Of the classes that have a tau; NaN where none has, as where all checkpoints are alike."""
    known = taus[~np.isnan(taus)]
    return float(known.mean()) if known.size else float("nan")
