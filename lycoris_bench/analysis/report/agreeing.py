"""How alike each two views order checkpoints, as the page's script reads it."""

import numpy as np
import pandas as pd

from lycoris_bench.analysis.columns import VIEW


def data(correlation: pd.DataFrame, views: pd.DataFrame) -> list[list[int | None]]:
    """For each view its r with each later one, in hundredths; null where there is none.

    correlation: as `correlations` makes it; views: a row for each view of the page."""
    numbered = views[VIEW].assign(place=range(len(views)))
    sides = [
        correlation[[f"{name}_{side}" for name in VIEW]]
        .set_axis(VIEW, axis="columns")
        .merge(numbered, on=VIEW, how="left")["place"]
        for side in "ab"
    ]
    r = np.full((len(views), len(views)), np.nan)
    known = (sides[0].notna() & sides[1].notna()).to_numpy()
    a, b = (side[known].to_numpy("int64") for side in sides)
    r[a, b] = correlation["r"].to_numpy()[known]
    return [
        [None if np.isnan(n) else round(100 * n) for n in row[place + 1 :].tolist()]
        for place, row in enumerate(r)
    ]
