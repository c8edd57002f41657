"""Which configurations does a metric put too high, or too low?"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from lycoris_bench.analysis.comparing.many_tests import holm
from lycoris_bench.analysis.comparing.pairs import pair_estimates
from lycoris_bench.analysis.comparing.two_way import two_sided
from lycoris_bench.analysis.trust.agreement import LEAST, pairs
from lycoris_bench.analysis.trust.cells import Array, Cells, shared
from lycoris_bench.analysis.trust.orders import positions
from lycoris_bench.analysis.trust.truths import truth_of

COLUMNS = [
    "category", "prompt_type", "truth", "asks", "metric", "encoder", "resize", "series", "epoch",
    "position", "true_position", "too_high", "wrongly_above", "wrongly_below",
]  # fmt: skip
ALPHA = 0.05


def misled(all_cells: Iterable[Cells]) -> pd.DataFrame:
    """By each view and question that it is asked: where each configuration stands at the last
    epoch, 0 the lowest and 1 the highest, by the view and by the truth, and the difference, which
    noise makes too.

    `wrongly_above`, `wrongly_below`: so many others it surely stands on the wrong side of
    (`exchanged`)."""
    rows = [row for cells in all_cells for row in _of(cells)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _of(cells: Cells) -> Iterator[dict[str, Any]]:
    for side, truth in pairs(cells):
        metric, encoder, resize = side.view
        asks = truth_of(metric, truth.view[0], cells.prompt_type)
        if not asks:
            continue
        points, (scores, rates) = shared(side.score[cells.last], truth.value[cells.last])
        if len(points) < LEAST:
            continue
        said, real = (positions(grid.mean(axis=(1, 2))[None])[0] for grid in (scores, rates))
        wrong = exchanged(scores, rates)
        for k, point in enumerate(cells.last[points]):
            yield {
                "category": cells.category, "prompt_type": cells.prompt_type,
                "truth": truth.view[0], "asks": asks,
                "metric": metric, "encoder": encoder, "resize": resize,
                "series": cells.series[point], "epoch": cells.epochs[point],
                "position": said[k], "true_position": real[k], "too_high": said[k] - real[k],
                "wrongly_above": int(wrong[k].sum()), "wrongly_below": int(wrong[:, k].sum()),
            }  # fmt: skip


def exchanged(scores: Array, rates: Array) -> Array:
    """Of grids [configurations, seeds, classes]: whether the first of two surely has the higher
    score and surely the lower true rate, [configurations, configurations].

    Both differences have to be beyond chance on their own, by t-tests over seeds and classes with
    the noise of the whole study (`pairs.pair_estimates`), so that the larger p-value counts (an
    intersection-union test); Holm over all pairs. A jackknife of the positions themselves says
    less than it promises: leaving one class out seldom moves a rank, which others would."""
    first, second = np.triu_indices(len(scores), 1)
    of_scores, of_rates = (pair_estimates(grid, first, second) for grid in (scores, rates))
    apart = np.maximum(two_sided(*of_scores[:3]), two_sided(*of_rates[:3])) / 2
    opposed = of_scores[0] * of_rates[0] < 0
    sure = holm(np.where(opposed, apart, 1.0)) <= ALPHA
    found = np.zeros((len(scores), len(scores)), dtype=bool)
    found[first, second], found[second, first] = (
        sure & (of_scores[0] > 0),
        sure & (of_scores[0] < 0),
    )
    return found
