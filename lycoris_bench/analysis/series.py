"""What is compared: a series, which is a configuration at one strength.

While tables are analyzed, the column `series` names it: `lora` at strength 1 and `lora ×0.5`
beside it. The columns `configuration` and `strength` stay as they are; what is stored has them
alone."""

import pandas as pd

from lycoris_bench.analysis.coded import coded, is_coded, text, texts
from lycoris_bench.analysis.columns import SERIES, reference_rows, trained
from lycoris_bench.files.identity import exact


def split_by_strength(
    metrics: pd.DataFrame, factors: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(metrics, factors) with the column `series`; factors have a row for each series, and the
    column `strength` where it varies.

    factors: one row per configuration. Configurations without scores keep their row."""
    metrics, factors = restore_names(metrics), restore_names(factors)
    rows, outside = trained(metrics), reference_rows(metrics)
    pairs = rows[["configuration", "strength"]].drop_duplicates()
    alone = pairs["configuration"].nunique() == 1 < len(pairs)
    pairs[SERIES] = [name(c, s, alone) for c, s in pairs.itertuples(index=False)]
    pairs = texts(pairs)
    place = rows.groupby(["configuration", "strength"], sort=False, observed=True).ngroup()
    rows[SERIES] = pairs[SERIES].array.take(place)
    outside[SERIES] = text(outside["configuration"])
    scored = factors.merge(pairs.sort_values("strength", ascending=False), on="configuration")
    unscored = factors[~factors["configuration"].isin(pairs["configuration"])]
    unscored = unscored.assign(**{SERIES: unscored["configuration"]})
    known = pd.concat([scored, unscored], ignore_index=True)
    if known["strength"].nunique() < 2:
        known = known.drop(columns="strength")
    all_rows = pd.concat([rows, outside], ignore_index=True)
    return coded(all_rows) if is_coded(rows["configuration"]) else all_rows, known


def restore_names(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as it is stored: a configuration and its strength, without a name for both."""
    return frame.drop(columns=SERIES, errors="ignore")


def name(configuration: str, strength: float, alone: bool = False) -> str:
    """Strength 1 goes without saying, but where strengths are all that is compared (`alone`).

    >>> name("lora", 1.0), name("lora", 0.5), name("lora", 1.0, alone=True)
    ('lora', 'lora ×0.5', 'lora ×1')
    """
    return configuration if strength == 1 and not alone else f"{configuration} ×{exact(strength)}"
