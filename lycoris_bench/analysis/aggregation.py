"""From concepts to categories (paper D.6): mean over the sub-classes of a class, then over the
classes of a category, or of all. A class counts as much as another, however many images it has."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from lycoris_bench.analysis.coded import is_coded, texts
from lycoris_bench.analysis.columns import CHECKPOINT, OVERALL, SERIES, VIEW
from lycoris_bench.analysis.comparing.pairs import errors

NUMBERS = ["value", "score", "position", "base", "real"]  # aggregated where a table has them
RUN = [SERIES, *CHECKPOINT, *VIEW, "better"]


def units(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per checkpoint, view and class (the mean over its sub-classes): the cells that
    means and standard errors run over. Each row is there twice: under its own category, and
    under OVERALL; a number of the whole checkpoint, which has none, only there. Column `unit`
    names the class, with its category so that it is unique."""
    return pd.concat([texts(part) for part in units_in_parts(scores)], ignore_index=True)


def units_in_parts(scores: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """`units` in two parts: of each category, and of all. Codes stay codes."""
    classes = _mean(scores, [*RUN, "category", "class"])
    kinds = classes.groupby(["category", "class"], sort=False, observed=True).ngroup()
    named = texts(classes[["category", "class"]][~kinds.duplicated()])
    names = pd.array(named["category"] + "/" + named["class"])
    coded = is_coded(classes["class"])
    classes["unit"] = pd.Categorical.from_codes(kinds, names) if coded else names.take(kinds)
    classes = classes.drop(columns="class")
    yield classes[classes["category"] != ""].reset_index(drop=True)
    yield classes.assign(category=OVERALL)


def by_checkpoint(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard error over classes for each checkpoint; n is the number of classes."""
    keys = [SERIES, *CHECKPOINT, "category", *VIEW, "better"]
    return pd.concat([texts(_summary(c, keys)) for c in units_in_parts(scores)], ignore_index=True)


def by_configuration(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard error over seeds x classes for each configuration and epoch.

    stderr is the two-way error (`comparing/two_way.py`); naive_stderr = sd / sqrt(n), n - 1 in the
    variance, is the paper's, which takes all cells for independent. Absent where n is 1."""
    keys = [name for name in (SERIES, *CHECKPOINT) if name != "seed"]
    keys += ["category", *VIEW, "better"]
    tables = [texts(_with_two_way_errors(cells, keys)) for cells in units_in_parts(scores)]
    return pd.concat(tables, ignore_index=True)


def _with_two_way_errors(cells: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    table = _summary(cells, keys)
    groups = cells.groupby(keys, sort=False, dropna=False, observed=True).ngroup().to_numpy()
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
    grouped = rows.groupby(keys, sort=False, dropna=False, observed=True)
    return grouped[numbers].mean().reset_index()


def _summary(cells: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    numbers = [name for name in NUMBERS if name in cells]
    grouped = cells.groupby(keys, sort=False, dropna=False, observed=True)[numbers]
    table, errors = grouped.mean(), grouped.sem()  # sem divides by n - 1, as the docstring says
    more = {f"{name}_stderr": errors[name].array for name in numbers}
    return table.assign(**more, n=grouped.size().array).reset_index()
