"""How far two views agree: a square a pair, its Pearson correlation inside."""

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap

from lycoris_bench.analysis.plots.canvas import INK, SOFT, figure, heading, label, settle, to_svg
from lycoris_bench.messages.numbers import fixed

DIVERGING = ("#e08a4a", "#f5cfae", "#ffffff", "#b4d2eb", "#4a8cc4")  # against, none, with


def heatmap(matrix: pd.DataFrame, title: str) -> bytes:
    """A symmetric matrix of correlations with its names as labels; absent pairs stay empty.

    Only the lower half is drawn: the upper says the same."""
    size = len(matrix)
    values = matrix.to_numpy(dtype="float64").copy()
    values[np.triu_indices(size, 1)] = np.nan
    width = min(max(1.9 + 0.42 * size, 3.6), 9.0)
    digits = min(6.5, 72 * 0.32 * (width - 1.9) / size)  # in points, narrower than a square
    with figure(width, width * 0.93) as (made, axes):
        colours = LinearSegmentedColormap.from_list("agreement", DIVERGING)
        axes.imshow(values, cmap=colours, vmin=-1, vmax=1)
        for i, j in zip(*np.nonzero(~np.isnan(values)), strict=True):
            if i != j:
                axes.text(
                    j, i, fixed(values[i, j]).replace("-", "−").replace("0.", "."), size=digits,
                    ha="center", va="center", color=INK,
                )  # fmt: skip
        labels = [label(name) for name in matrix.index]
        axes.set_xticks(range(size), labels, rotation=90, size=7, color=SOFT)
        axes.set_yticks(range(size), labels, size=7, color=SOFT)
        axes.tick_params(length=0)
        for side in axes.spines.values():
            side.set_visible(False)
        heading(made, title)
        settle(made)
        return to_svg(made)
