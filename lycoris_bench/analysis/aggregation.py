"""From concepts to categories (paper D.6): mean over the sub-classes of a class, then over the
classes of a category, or of all. A class counts as much as another, however many images it has.

Classes whose images are the same ones, as those of prompts that name no class are, say one thing
and not several: they are one unit."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from lycoris_bench.analysis.coded import is_coded, texts
from lycoris_bench.analysis.columns import CHECKPOINT, OVERALL, PROTOCOL, SERIES, VIEW
from lycoris_bench.analysis.comparing.pairs import errors
from lycoris_bench.analysis.unlike import protocol_parts

NUMBERS = ["value", "score", "position", "base", "real"]  # aggregated where a table has them
RUN = [SERIES, *CHECKPOINT, *VIEW, "better"]
DRAWN = {"prompts", "seed"}  # parts of a protocol that say which images they are
Twins = Mapping[str, Mapping[str, str]]


def units(scores: pd.DataFrame, drawn_as: str = "") -> pd.DataFrame:
    """One row per checkpoint, view and class (the mean over its sub-classes): the cells that
    means and standard errors run over. Each row is there twice: under its own category, and
    under OVERALL; a number of the whole checkpoint, which has none, only there. Column `unit`
    names the class, with its category so that it is unique; classes that were drawn with the same
    prompts and seeds (their protocols are equal) have the same images, and are one.

    drawn_as: the prompt type whose prompts say so for all rows; "": each row's own."""
    parts = units_in_parts(scores, drawn_as)
    return pd.concat([texts(part) for part in parts], ignore_index=True)


def units_in_parts(scores: pd.DataFrame, drawn_as: str = "") -> Iterator[pd.DataFrame]:
    """`units` in two parts: of each category, and of all. Codes stay codes."""
    classes = _mean(scores, [*RUN, "category", "class"])
    kinds = classes.groupby(["category", "class"], sort=False, observed=True).ngroup()
    named = texts(classes[["category", "class"]][~kinds.duplicated()])
    names = pd.array(named["category"] + "/" + named["class"])
    coded = is_coded(classes["class"])
    classes["unit"] = pd.Categorical.from_codes(kinds, names) if coded else names.take(kinds)
    classes = classes.drop(columns="class")
    drawn = _drawn(scores, drawn_as)
    within, among_all = _twins(drawn, ["category"]), _twins(drawn, [])
    own = _once(classes, within, drawn_as)
    yield own[own["category"] != ""].reset_index(drop=True)
    if among_all == within:
        yield own.assign(category=OVERALL)
    else:
        yield _once(classes.assign(category=OVERALL), among_all, drawn_as)


def _drawn(scores: pd.DataFrame, drawn_as: str) -> pd.DataFrame:
    """What the images of each unit and prompt type were drawn with, where that is known."""
    keys = ["prompt_type", "category", "class"]
    if PROTOCOL not in scores:
        return pd.DataFrame(columns=["prompt_type", "category", "unit", PROTOCOL])
    sets = texts(scores[[*keys, PROTOCOL]].drop_duplicates())
    said = [text for text in sets[PROTOCOL].unique() if DRAWN.issubset(protocol_parts(str(text)))]
    sets = sets[sets[PROTOCOL].isin(said) & (sets["category"] != "")]
    drawn = sets.groupby(keys, sort=False)[PROTOCOL].agg(lambda known: "\n".join(sorted(known)))
    made = drawn.reset_index()
    made = made[made["prompt_type"] == drawn_as] if drawn_as else made
    return made.assign(unit=made["category"] + "/" + made["class"])


def _twins(drawn: pd.DataFrame, within: list[str]) -> Twins:
    """By prompt type: the units that stand for the same images as an earlier one -> that one."""
    first = drawn.groupby(["prompt_type", *within, PROTOCOL])["unit"].transform("first")
    same = drawn.assign(first=first)[first != drawn["unit"]]
    return {
        str(kind): dict(zip(part["unit"], part["first"], strict=True))
        for kind, part in same.groupby("prompt_type")
    }


def _once(cells: pd.DataFrame, twins: Twins, drawn_as: str) -> pd.DataFrame:
    """The cells with one unit in place of all whose images are the same, under the first's name."""
    if not twins:
        return cells
    shared = pd.Series(bool(drawn_as), cells.index)
    unit = cells["unit"].copy()
    for kind, names in twins.items():
        here = shared | (cells["prompt_type"] == kind)
        unit[here] = _renamed(unit[here], names)
        shared |= here
    rows = cells[shared].assign(unit=unit[shared])
    numbers = [name for name in NUMBERS if name in rows]
    alike = rows.groupby([*RUN, "category", "unit"], sort=False, dropna=False, observed=True)
    means = rows.assign(**alike[numbers].transform("mean"))[~alike.ngroup().duplicated()]
    return pd.concat([cells[~shared], means]).sort_index().reset_index(drop=True)


def _renamed(column: pd.Series, names: Mapping[str, str]) -> pd.Series:
    if not is_coded(column):
        return column.map(lambda name: names.get(name, name))
    known = column.cat.categories
    codes = known.get_indexer([names.get(name, name) for name in known])
    return pd.Series(
        pd.Categorical.from_codes(codes[column.cat.codes], dtype=column.dtype), column.index
    )


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
