"""What is compared: a series, which is a configuration at one strength; where others trained it,
each of its checkpoints at one strength.

While tables are analyzed, the column `series` names it: `lora` at strength 1 and `lora ×0.5`
beside it, `dog step 500` of a training that others ran. The columns `configuration` and `strength`
stay as they are, and the moment of what others trained is in the column `moment`, as their
trainings share no epochs; what is stored has `configuration`, `epoch` and `strength` alone."""

from collections.abc import Mapping

import pandas as pd

from lycoris_bench.analysis.coded import coded, is_coded, text, texts
from lycoris_bench.analysis.columns import SERIES, reference_rows, trained
from lycoris_bench.files.identity import exact

MOMENTS = "moments"  # of factors: the unit of the moments of a training that others ran, else ""
LAST = "last"  # of factors: where curves show the last of such a training, if nothing dates it
MOMENT = "moment"  # of metrics: the epoch or step of such a checkpoint


def split_by_strength(
    metrics: pd.DataFrame, factors: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(metrics, factors) with the column `series`; factors have a row for each series, and the
    column `strength` where it varies.

    factors: one row per configuration. Configurations without scores keep their row."""
    metrics, factors = restore_names(metrics), restore_names(factors)
    rows, outside = trained(metrics), reference_rows(metrics)
    keys = ["configuration", "strength"]
    if MOMENTS in factors:
        rows = _with_moments(rows, factors)
        keys.append(MOMENT)
    pairs = rows[keys].drop_duplicates()
    alone = len(pairs[["configuration", *keys[2:]]].drop_duplicates()) == 1 < len(pairs)
    units = dict(zip(factors["configuration"], factors.get(MOMENTS, ""), strict=False))
    pairs[SERIES] = [
        name(c, s, alone, units.get(c, ""), *moment)
        for c, s, *moment in pairs.itertuples(index=False)
    ]
    pairs = texts(pairs)
    place = rows.groupby(keys, sort=False, observed=True, dropna=False).ngroup()
    rows[SERIES] = pairs[SERIES].array.take(place)
    outside[SERIES] = text(outside["configuration"])
    named = pairs.drop(columns=MOMENT, errors="ignore")
    scored = factors.merge(named.sort_values("strength", ascending=False), on="configuration")
    unscored = factors[~factors["configuration"].isin(pairs["configuration"])]
    unscored = unscored.assign(**{SERIES: unscored["configuration"]})
    known = pd.concat([scored, unscored], ignore_index=True)
    if known["strength"].nunique() < 2:
        known = known.drop(columns="strength")
    all_rows = pd.concat([rows, outside], ignore_index=True)
    return coded(all_rows) if is_coded(rows["configuration"]) else all_rows, known


def _with_moments(rows: pd.DataFrame, factors: pd.DataFrame) -> pd.DataFrame:
    """The rows of what others trained with their moment in a column of its own, and no epoch."""
    given = factors["configuration"][factors[MOMENTS] != ""]
    elsewhere = rows["configuration"].isin(given)
    return rows.assign(
        **{MOMENT: rows["epoch"].where(elsewhere), "epoch": rows["epoch"].mask(elsewhere)}
    )


def restore_names(frame: pd.DataFrame, moments: Mapping[str, int] | None = None) -> pd.DataFrame:
    """The frame as it is stored: a configuration and its strength, without a name for both, and
    moments, which may be given by series, as epochs."""
    if MOMENT in frame and "epoch" in frame:
        frame = frame.assign(epoch=frame["epoch"].fillna(frame[MOMENT]))
    elif moments and SERIES in frame and "epoch" in frame:
        known = frame[SERIES].astype("object").map(moments).astype("Int64")
        frame = frame.assign(epoch=frame["epoch"].fillna(known))
    return frame.drop(columns=[SERIES, MOMENT], errors="ignore")


def moments_of(metrics: pd.DataFrame) -> dict[str, int]:
    """Series -> the moment of what others trained."""
    if MOMENT not in metrics:
        return {}
    dated = metrics[[SERIES, MOMENT]].dropna().drop_duplicates()
    return {str(name): int(moment) for name, moment in dated.itertuples(index=False)}


def shown_moments(metrics: pd.DataFrame, factors: pd.DataFrame) -> dict[str, int]:
    """As `moments_of`, with where curves show the last of a training, if nothing dates it."""
    known = moments_of(metrics)
    if LAST not in factors or MOMENT not in metrics:
        return known
    last = dict(zip(factors["configuration"], factors[LAST], strict=True))
    rows = trained(metrics)[["configuration", SERIES, MOMENT]].drop_duplicates()
    undated = rows[rows[MOMENT].isna()]
    pairs = zip(undated["configuration"], undated[SERIES], strict=True)
    return known | {str(s): int(last[c]) for c, s in pairs if not pd.isna(last.get(c))}


def over_training(frame: pd.DataFrame, moments: Mapping[str, int]) -> pd.DataFrame:
    """The frame with a series for all moments of a training at one strength, and these as
    epochs."""
    if not moments:
        return frame
    dated = frame[SERIES].astype("object").map(moments).astype("Int64")
    rows = frame.assign(epoch=frame["epoch"].fillna(dated))
    pairs = zip(rows["configuration"], rows["strength"], strict=True)
    return rows.assign(**{SERIES: [name(str(c), float(s)) for c, s in pairs]})


def name(
    configuration: str,
    strength: float,
    alone: bool = False,
    unit: str = "",
    moment: int | None = None,
) -> str:
    """Strength 1 goes without saying, but where strengths are all that is compared (`alone`).

    >>> name("lora", 1.0), name("lora", 0.5), name("lora", 1.0, alone=True)
    ('lora', 'lora ×0.5', 'lora ×1')
    >>> name("dog", 0.5, unit="step", moment=500)
    'dog step 500 ×0.5'
    """
    when = f" {unit} {moment}" if unit and moment is not None and not pd.isna(moment) else ""
    if strength == 1 and not alone:
        return f"{configuration}{when}"
    return f"{configuration}{when} ×{exact(strength)}"
