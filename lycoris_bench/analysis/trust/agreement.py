"""Does a metric order the checkpoints as the truth does?"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from lycoris_bench.analysis.trust.cells import (
    Array,
    Cells,
    Leaves,
    Side,
    correlation_interval,
    shared,
)
from lycoris_bench.analysis.trust.orders import (
    centred_ranks,
    kendall,
    kendall_of_signs,
    signs,
    spearman_of_ranks,
)
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


@dataclass
class Ordered:
    """Means by each leaf, and what is asked of their order again and again."""

    leaves: Leaves

    @cached_property
    def signs(self) -> Array:
        return signs(self.leaves.means)

    @cached_property
    def ranks(self) -> Array:
        return centred_ranks(self.leaves.means)


def _of(cells: Cells) -> Iterator[dict[str, Any]]:
    known: dict[tuple[str, str, str], Ordered] = {}  # of whole grids, which others are held against

    def ordered(view: tuple[str, str, str], grid: Array, whole: Array) -> Ordered:
        if grid is not whole:
            return Ordered(Leaves.of(grid))
        if view not in known:
            known[view] = Ordered(Leaves.of(grid))
        return known[view]

    for side, truth in pairs(cells):
        points, (scores, rates) = shared(side.score, truth.value)
        if len(points) < LEAST:
            continue
        said, true = ordered(side.view, scores, side.score), ordered(truth.view, rates, truth.value)
        tau = correlation_interval(said.leaves, kendall_of_signs(said.signs, true.signs))
        rho = correlation_interval(said.leaves, spearman_of_ranks(said.ranks, true.ranks))
        last = cells.epochs[points] == cells.epochs[points].max()
        at_last = kendall(said.leaves.means[:1, last], true.leaves.means[:1, last])[0]
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
