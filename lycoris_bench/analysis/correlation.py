"""Do metrics, encoders, resizings and prompt types agree (paper E)?"""

import numpy as np
import pandas as pd

from lycoris_bench.analysis.coded import texts
from lycoris_bench.analysis.columns import CHECKPOINT, CONCEPT, SERIES, VIEW


def correlations(scores: pd.DataFrame) -> pd.DataFrame:
    """Pearson correlation of the unaggregated scores of each pair of views.

    A view is (metric, encoder, resize, prompt type), a sample a checkpoint on a concept that
    both views have. Scores, not values: both are already "more is better".
    -> long: the two views with suffixes _a and _b, `r`, `n`; a pair of which one does not vary,
    or with fewer than three samples, has no correlation and no row."""
    if scores.empty:
        return pd.DataFrame(columns=[*_names("a"), *_names("b"), "r", "n"])
    names = {"sort": False, "dropna": False, "observed": True}
    keys = [name for name in (SERIES, *CHECKPOINT, *CONCEPT) if name in scores]
    sample = scores.groupby(keys, **names).ngroup()
    view = scores.groupby(VIEW, **names).ngroup()
    seen = texts(scores[VIEW][~view.duplicated()])
    wide = np.full((sample.max() + 1, len(seen)), np.nan)
    wide[sample, view] = scores["score"]  # a checkpoint is there once (ranks.py)
    wide = pd.DataFrame(wide, columns=pd.MultiIndex.from_frame(seen))
    r = wide.corr(min_periods=3)
    there = wide.notna().astype("int64")
    n = there.T @ there
    r.index.names, r.columns.names = _names("a"), _names("b")
    n.index.names, n.columns.names = _names("a"), _names("b")
    pairs = pd.DataFrame({"r": _stack(r), "n": _stack(n)})
    return pairs.dropna(subset="r").reset_index()


def _names(side: str) -> list[str]:
    return [f"{name}_{side}" for name in VIEW]


def _stack(matrix: pd.DataFrame) -> pd.Series:
    """A matrix with tuples for labels as a series over both labels, rows first."""
    index = pd.MultiIndex.from_tuples(
        [(*a, *b) for a in matrix.index for b in matrix.columns], names=[*_names("a"), *_names("b")]
    )
    return pd.Series(matrix.to_numpy().ravel(), index=index)
