"""The pairs of checkpoints that each claim is judged by, as the page's script reads them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lycoris_bench.analysis.claims.claims import CLAIMS
from lycoris_bench.analysis.claims.contrasts import CONTRASTS, EPOCHS, pairs, settings
from lycoris_bench.analysis.claims.differences import between
from lycoris_bench.analysis.claims.grid import Grids, grids
from lycoris_bench.analysis.claims.verdicts import as_asked
from lycoris_bench.analysis.columns import main_views
from lycoris_bench.analysis.comparing.pairs import mean_of

Row = list[int | None]


def data(
    scores: pd.DataFrame,
    factors: pd.DataFrame,
    names: Sequence[str],
    epochs: Sequence[int],
    seeds: Sequence[int],
) -> dict[str, Any]:
    """`contrasts`: of each (from, to, seed, epoch) of what is compared, as places in names, seeds
    and epochs, where an epoch's `from` is the epoch before; `claims`: by id its contrast, and the
    change of the score of each of these, in thousandths and in the mean over the classes that the
    claim is said of; null where a side is missing.

    scores: ranked rows; factors: a row for each series."""
    seen, table = grids(main_views(scores)), settings(factors)
    series = {name: names.index(name) for name in seen.series if name in names}
    at = [None if seed is None else seeds.index(int(seed)) for seed in seen.seeds]
    when = [*(epochs.index(epoch) for epoch in seen.epochs), None]
    known = {
        key: [pair for pair in pairs(table, contrast) if set(pair) <= set(series)]
        for key, contrast in CONTRASTS.items()
    }
    claims: dict[str, dict[str, Any]] = {}
    for claim in CLAIMS:
        said = as_asked(claim, seen)
        grid = seen.scores.get((said.metric, said.prompt_type))
        classes = np.array([claim.said_of(name) for name in seen.categories], dtype=bool)
        if grid is None or not classes.any():
            continue
        changes = _changes(grid[..., classes], claim.contrast, seen, known[claim.contrast])
        mean = mean_of(changes)  # [pairs, seeds, epochs]
        if not np.isnan(mean).all():
            claims[claim.id] = {
                "contrast": claim.contrast,
                "some": not classes.all(),
                "change": [None if np.isnan(n) else round(1000 * n) for n in mean.ravel().tolist()],
            }
    used = dict.fromkeys(claim["contrast"] for claim in claims.values())
    return {
        "contrasts": {key: _rows(key, known[key], seen, series, at, when) for key in used},
        "claims": claims,
    }


def _changes(
    grid: np.ndarray, contrast: str, seen: Grids, known: Sequence[tuple[str, str]]
) -> np.ndarray:
    """[pairs, seeds, epochs, classes]: `to` less `from`; of epochs a pair is a series."""
    if contrast == EPOCHS:
        return np.diff(grid[:, :, : len(seen.epochs)], axis=2)
    return between(grid, seen.series, known)


def _rows(
    contrast: str,
    known: Sequence[tuple[str, str]],
    seen: Grids,
    series: Mapping[str, int],
    at: Sequence[int | None],
    when: Sequence[int | None],
) -> list[Row]:
    """In the order of the changes."""
    if contrast == EPOCHS:
        known, when = [(name, name) for name in seen.series], when[1:-1]
    return [
        [series.get(low), series.get(high), seed, epoch]
        for low, high in known
        for seed in at
        for epoch in when
    ]
