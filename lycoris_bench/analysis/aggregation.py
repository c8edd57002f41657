"""From concepts to categories (paper D.6): mean over the sub-classes of a class, then over the
classes of a category, or of all. A class counts as much as another, however many images it has."""

import numpy as np
import pandas as pd

from lycoris_bench.analysis.columns import CHECKPOINT, OVERALL, SERIES, VIEW
from lycoris_bench.analysis.comparing.pairs import errors

NUMBERS = ["value", "score", "position", "base", "real"]  # aggregated where a table has them
RUN = [SERIES, *CHECKPOINT, *VIEW, "better"]


def units(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per checkpoint, view and class (the mean over its sub-classes): the cells that
    means and standard errors run over. Each row is there twice: under its own category, and
    under OVERALL; a number of the whole checkpoint, which has none, only there. Column `unit`
    names the class, with its category so that it is unique."""
    classes = _mean(scores, [*RUN, "category", "class"])
    classes["unit"] = classes["category"] + "/" + classes["class"]
    classes = classes.drop(columns="class")
    of_categories = classes[classes["category"] != ""]
    return pd.concat([of_categories, classes.assign(category=OVERALL)], ignore_index=True)


def by_checkpoint(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard error over classes for each checkpoint; n is the number of classes."""
    return _summary(units(scores), [SERIES, *CHECKPOINT, "category", *VIEW, "better"])


def by_configuration(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard error over seeds x classes for each configuration and epoch.

    stderr is the two-way error (`comparing/two_way.py`); naive_stderr = sd / sqrt(n), n - 1 in the
    variance, is the paper's, which takes all cells for independent. Absent where n is 1."""
    keys = [name for name in (SERIES, *CHECKPOINT) if name != "seed"]
    keys += ["category", *VIEW, "better"]
    cells = units(scores)
    table = _summary(cells, keys)
    groups = cells.groupby(keys, sort=False, dropna=False).ngroup().to_numpy()
    seeds, classes = (pd.factorize(cells[n], use_na_sentinel=False) for n in ("seed", "unit"))
    for name in ("value", "score"):
        grids = np.full((len(table), len(seeds[1]), len(classes[1])), np.nan)
        grids[groups, seeds[0], classes[0]] = cells[name]
        table[f"{name}_naive_stderr"] = table[f"{name}_stderr"]
        table[f"{name}_stderr"] = errors(grids)
    return table


def references(positions: pd.DataFrame) -> pd.DataFrame:
    """Value and position of base and of real images, per category and over all."""
    return _summary(units(positions), ["configuration", "category", *VIEW, "better"])


def _mean(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    numbers = [name for name in NUMBERS if name in rows]
    return rows.groupby(keys, sort=False, dropna=False)[numbers].mean().reset_index()


def _summary(cells: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    numbers = [name for name in NUMBERS if name in cells]
    grouped = cells.groupby(keys, sort=False, dropna=False)[numbers]
    errors = grouped.sem().add_suffix("_stderr")  # sem divides by n - 1, as the docstring says
    counts = grouped.size().rename("n")
    return grouped.mean().join(errors).join(counts).reset_index()
