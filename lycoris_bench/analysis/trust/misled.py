"""Which configurations does a metric put too high, or too low?"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from lycoris_bench.analysis.trust.agreement import LEAST, pairs
from lycoris_bench.analysis.trust.cells import Cells, Leaves, shared
from lycoris_bench.analysis.trust.orders import positions
from lycoris_bench.analysis.trust.truths import truth_of

COLUMNS = [
    "category", "prompt_type", "truth", "asks", "metric", "encoder", "resize", "series", "epoch",
    "position", "true_position", "too_high", "stderr", "sure",
]  # fmt: skip
ALPHA = 0.05


def misled(all_cells: Iterable[Cells]) -> pd.DataFrame:
    """By each view and question that it is asked: where each configuration stands at the last
    epoch, 0 the lowest and 1 the highest, by the view and by the truth, and the difference.

    `sure`: it is more than chance gives, as seeds and classes might have been drawn: a t-test with
    the jackknife's error, Bonferroni over the configurations."""
    rows = [row for cells in all_cells for row in _of(cells)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _of(cells: Cells) -> Iterator[dict[str, Any]]:
    for side, truth in pairs(cells):
        metric, encoder, resize = side.view
        asks = truth_of(metric, truth.view[0], cells.prompt_type)
        if not asks:
            continue
        points, grids = shared(side.score[cells.last], truth.value[cells.last])
        if len(points) < LEAST:
            continue
        leaves, true = (Leaves.of(grid) for grid in grids)
        said, real = positions(leaves.means), positions(true.means)
        stderr, df = leaves.spread(said - real)
        t = special.stdtrit(df, 1 - ALPHA / 2 / len(points))
        sure = np.abs(said[0] - real[0]) > t * stderr
        for k, point in enumerate(cells.last[points]):
            yield {
                "category": cells.category, "prompt_type": cells.prompt_type,
                "truth": truth.view[0], "asks": asks,
                "metric": metric, "encoder": encoder, "resize": resize,
                "series": cells.series[point], "epoch": cells.epochs[point],
                "position": said[0, k], "true_position": real[0, k],
                "too_high": said[0, k] - real[0, k], "stderr": stderr[k], "sure": bool(sure[k]),
            }  # fmt: skip
