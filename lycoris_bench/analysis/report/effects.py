"""What each factor does to the score of each checkpoint, as the page's script reads it."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from lycoris_bench.analysis.columns import SERIES, VIEW
from lycoris_bench.analysis.plots.beeswarm import LABELS, colours_of
from lycoris_bench.messages.numbers import fixed
from lycoris_bench.messages.printable import lines

RUN = [SERIES, "epoch", "seed"]
KEYS = ["configuration", "strength", "epoch", "seed"]  # by which effects name a checkpoint


def data(
    shap: pd.DataFrame,
    factors: pd.DataFrame,
    views: pd.DataFrame,
    shown: Sequence[str],
    checkpoints: pd.DataFrame,
    runs: pd.DataFrame,
) -> dict[str, Any]:
    """`factors`: name, values and their colours; `of`: for each factor which value each checkpoint
    has; `views`: for each category and view that was explained its fit, and `by`: pairs of a factor
    and the effects on each checkpoint, in thousandths. null: a checkpoint has none.

    shap: as `importance.explain` makes it; checkpoints: as aggregated; views, runs: a row for each
    of the page's."""
    shap = shap[shap["category"].isin(shown)]
    if shap.empty:
        return {"factors": [], "of": [], "views": []}
    names = [str(name) for name in shap["feature"].drop_duplicates()]
    place = {name: k for k, name in enumerate(names)}
    named = checkpoints[[SERIES, *KEYS]].drop_duplicates()
    named = named.merge(runs.assign(run=range(len(runs))), on=RUN).drop_duplicates(KEYS, keep=False)
    table = shap.merge(named, on=KEYS)
    table = table.merge(views[VIEW].assign(view=range(len(views))), on=VIEW)
    colours, of = {}, {}
    for name in names:
        rows = table[table["feature"] == name].drop_duplicates("run")
        colours[name] = colours_of(rows["feature_value"], name, factors)
        values = {value: k for k, value in enumerate(colours[name])}
        of[name] = _column(len(runs), rows["run"], rows["feature_value"].map(values))
    found = []
    for (category, view), part in table.groupby(["category", "view"], sort=False):
        fits = part.iloc[0]
        low, high = fixed(fits["r2_cv_low"]), fixed(fits["r2_cv_high"])
        found.append({
            "category": list(shown).index(category), "view": int(view),
            "r2": fixed(fits["r2"]), "unseen": f"{fixed(fits['r2_cv'])} ({low} to {high})",
            "foretells": bool(fits["r2_cv"] > 0),
            "by": [
                [place[str(name)], _column(len(runs), rows["run"], (rows["shap"] * 1000).round())]
                for name, rows in part.groupby("feature", sort=False)
            ],
        })  # fmt: skip
    return {
        "factors": [
            {"name": LABELS.get(name, name), "values": [lines(v) for v in colours[name]],
             "colours": list(colours[name].values())}
            for name in names
        ],
        "of": [of[name] for name in names],
        "views": found,
    }  # fmt: skip


def _column(length: int, runs: pd.Series, values: pd.Series) -> list[int | None]:
    column: list[int | None] = [None] * length
    for run, value in zip(runs, values, strict=True):
        column[run] = int(value)
    return column
