"""The numbers of checkpoints of given trainings, prompt by prompt: all draw the same prompts with
the same seeds, so that what makes an image hard for all of them cancels in their differences."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lycoris_bench.analysis.columns import CONCEPT, CRITERIA, Criterion
from lycoris_bench.scoring.part_names import WITHOUT
from lycoris_bench.study.prompt_types import assignment
from lycoris_bench.study.records import BASE, REAL

CHECKPOINT = ["configuration", "epoch", "strength"]
Key = tuple[str, int | None, float]
"""Configuration, moment and strength of a checkpoint."""


@dataclass(frozen=True)
class Numbers:
    """One criterion of all checkpoints. values [checkpoints, units], larger is better: the means
    over the images of a prompt, or single images where all are of one prompt; of a metric of sets
    what each image contributes (`contributions`). `of_base`: the base model's, of the same units;
    None where there are none. `base` and `real` are means, of what the values are of; nan where
    there is none. `sign`: -1 where the metric's own direction is down."""

    criterion: Criterion
    keys: tuple[Key, ...]
    values: np.ndarray
    base: float
    real: float
    sign: int
    of_base: np.ndarray | None = None

    @property
    def means(self) -> np.ndarray:
        """[checkpoints], in the metric's own direction."""
        return self.sign * self.values.mean(axis=1)

    @property
    def errors(self) -> np.ndarray:
        """Standard errors of the means over units: [checkpoints]; nan of a single unit."""
        n = self.values.shape[1]
        spread = self.values.std(axis=1, ddof=1) if n > 1 else np.full(len(self.keys), np.nan)
        return np.asarray(spread / np.sqrt(n))


def numbers(
    images: pd.DataFrame, metrics: pd.DataFrame, prompts: Mapping[tuple[str, str], int]
) -> list[Numbers]:
    """The numbers of each criterion that there are images of.

    images: rows of `image_numbers`, of the main views; metrics: the rows of the same views;
    prompts: the number of prompts of a concept and prompt type, where it is known."""
    found = []
    for criterion in CRITERIA:
        own, whole = (_of(rows, criterion) for rows in (images, metrics))
        if not len(own):
            continue
        sign = 1 if own["better"].iloc[0] == "higher" else -1
        if not len(own := contributions(own, whole)):
            continue
        means = whole.groupby("configuration")["value"].mean()
        table = _table(own[own["configuration"] != REAL], prompts)
        is_base = table.index.get_level_values("configuration") == BASE
        values = sign * table.to_numpy()
        if (~is_base).any() and table.shape[1]:
            keys = tuple(_key(*row) for row in table.index[~is_base])
            base, real = (float(means.get(name, np.nan)) for name in (BASE, REAL))
            of_base = values[is_base][0] if is_base.any() else None
            found.append(Numbers(criterion, keys, values[~is_base], base, real, sign, of_base))
    return found


def contributions(parts: pd.DataFrame, whole: pd.DataFrame) -> pd.DataFrame:
    """The parts, where they are sets without an image, as what each image contributes: the
    jackknife's pseudo-values, moved so that their mean is the value V of the whole set of n images,

        V + (n - 1) (mean_j V_without_j - V_without_i).

    Their differences between two checkpoints have the mean of the difference of V, and its variance
    is that of a mean of them (Efron & Stein 1981). Sets of which the whole is not known are left
    out."""
    left_out = parts["image"].str.startswith(WITHOUT)
    if not left_out.any():
        return parts
    keys = [*CHECKPOINT, *CONCEPT]
    alike = {"epoch": "float64", "strength": "float64"}
    of_sets = whole[[*keys, "value"]].astype(alike).rename(columns={"value": "whole"})
    rows = parts[left_out].astype(alike).merge(of_sets, on=keys)
    others = rows.groupby(keys, dropna=False)["value"]
    n, mean = others.transform("size"), others.transform("mean")
    return rows.assign(
        value=rows["whole"] + (n - 1) * (mean - rows["value"]),
        image=rows["image"].str.removeprefix(WITHOUT),
    )


def _of(rows: pd.DataFrame, criterion: Criterion) -> pd.DataFrame:
    if not len(rows):
        return rows
    return rows[
        (rows["metric"] == criterion.metric) & (rows["prompt_type"] == criterion.prompt_type)
    ]


def _key(configuration: str, epoch: float, strength: float) -> Key:
    return configuration, None if pd.isna(epoch) else int(epoch), float(strength)


def _table(rows: pd.DataFrame, prompts: Mapping[tuple[str, str], int]) -> pd.DataFrame:
    """Checkpoints x units, of the units that all have; trainings in their order, and of each the
    earliest checkpoint first, at the least strength."""
    units = _units(rows, prompts)
    keyed = rows.assign(unit=units, epoch=rows["epoch"].astype("float64"))
    wide = keyed.pivot_table(
        index=CHECKPOINT, columns="unit", values="value", aggfunc="mean", sort=False, dropna=False
    )
    wide = wide[wide.notna().any(axis=1)]
    named = list(dict.fromkeys(rows["configuration"]))
    order = sorted(
        range(len(wide)),
        key=lambda k: _place(named, *wide.index[k]),
    )
    return wide.loc[:, wide.notna().all(axis=0)].iloc[order]


def _place(
    named: Sequence[str], configuration: str, moment: float, strength: float
) -> tuple[int, float, float]:
    """The last of a training may have no moment."""
    return named.index(configuration), math.inf if pd.isna(moment) else moment, strength


def _units(rows: pd.DataFrame, prompts: Mapping[tuple[str, str], int]) -> list[str]:
    """The unit of each row: its concept with its prompt, or with its image where all images of
    the concept are of one prompt."""
    concepts = ["/".join(filter(None, names)) for names in rows[CONCEPT].itertuples(index=False)]
    asked = list(zip(concepts, rows["prompt_type"], strict=True))
    images = rows.groupby(CONCEPT, sort=False)["image"].transform("nunique")
    units = []
    for pair, image, count in zip(asked, rows["image"], images, strict=True):
        shared = prompts.get(pair, 1)
        number = str(image).partition(".")[0]
        if shared > 1 and number.isdecimal():
            number = f"prompt {assignment(int(count), shared)[int(number)]}"
        units.append(f"{pair[0]} {number}")
    return units
