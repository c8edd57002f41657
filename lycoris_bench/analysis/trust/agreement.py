"""Does a metric order the checkpoints as the truth does?"""

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from lycoris_bench.analysis.trust.cells import (
    Cells,
    Leaves,
    Side,
    correlation_interval,
    shared,
)
from lycoris_bench.analysis.trust.orders import kendall, spearman
from lycoris_bench.analysis.trust.truths import KNOWN, truth_of

COLUMNS = [
    "category", "prompt_type", "truth", "asks", "metric", "encoder", "resize", "tau", "tau_low",
    "tau_high", "rho", "rho_low", "rho_high", "tau_last", "points", "seeds", "classes",
]  # fmt: skip
LEAST = 4  # points: of fewer an order says little


def agreements(all_cells: Iterable[Cells]) -> pd.DataFrame:
    """Kendall's tau-b and Spearman's rho between the mean score by each view and the mean true rate
    on the same prompts, over configurations and epochs (`points`); `tau_last` over those of the
    last epoch.

    `asks` is the question of `truths.py` that the metric is meant to answer, or "". The interval is
    that of a study of this size: a jackknife over classes and over seeds, t distributed on Fisher's
    scale. nan: one of both is the same everywhere, or there is but one seed and class."""
    rows = [row for cells in all_cells for row in _of(cells)]
    return pd.DataFrame(rows, columns=COLUMNS)


def pairs(cells: Cells) -> Iterator[tuple[Side, Side]]:
    """Each view with each metric of the truth."""
    truths = [side for side in cells.sides if side.view[0] in KNOWN]
    for side in cells.sides:
        if side.view[0] not in KNOWN:
            yield from ((side, truth) for truth in truths)


def _of(cells: Cells) -> Iterator[dict[str, Any]]:
    for side, truth in pairs(cells):
        points, (scores, rates) = shared(side.score, truth.value)
        if len(points) < LEAST:
            continue
        said, true = Leaves.of(scores), Leaves.of(rates)
        tau = correlation_interval(said, kendall(said.means, true.means))
        rho = correlation_interval(said, spearman(said.means, true.means))
        last = cells.epochs[points] == cells.epochs[points].max()
        at_last = kendall(said.means[:1, last], true.means[:1, last])[0]
        metric, encoder, resize = side.view
        yield {
            "category": cells.category, "prompt_type": cells.prompt_type, "truth": truth.view[0],
            "asks": truth_of(metric, truth.view[0], cells.prompt_type),
            "metric": metric, "encoder": encoder, "resize": resize,
            **dict(zip(("tau", "tau_low", "tau_high"), tau, strict=True)),
            **dict(zip(("rho", "rho_low", "rho_high"), rho, strict=True)),
            "tau_last": float(at_last) if last.sum() >= LEAST else float("nan"),
            "points": len(points), "seeds": scores.shape[1], "classes": scores.shape[2],
        }  # fmt: skip
