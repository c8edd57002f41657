"""What is compared: a configuration, and where a study asks for several strengths each of them.

While tables are analyzed each has a name of its own, `lora` at strength 1 and `lora ×0.5` beside
it, and adapters that were made elsewhere stand at the last epoch. What is stored has the plain
names again: the column `strength` tells them apart."""

from collections.abc import Mapping

import pandas as pd

from lycoris_bench.analysis.columns import beside, trained
from lycoris_bench.files.identity import exact

NO_SEED = -1  # of what was not trained here: its rows are those of no seed
NO_EPOCH = 0  # and of no epoch, where nothing was trained at all


def apart(
    metrics: pd.DataFrame, factors: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, str]]:
    """(metrics, factors, series -> configuration) with a configuration for each strength."""
    rows = trained(metrics)
    last = rows["epoch"].max()
    rows["epoch"] = rows["epoch"].fillna(NO_EPOCH if pd.isna(last) else last)
    rows["seed"] = rows["seed"].fillna(NO_SEED)
    pairs = rows[["configuration", "strength"]].drop_duplicates()
    alone = pairs["configuration"].nunique() == 1 < len(pairs)
    names = {(c, s): name(c, s, alone) for c, s in pairs.itertuples(index=False)}
    keys = zip(rows["configuration"], rows["strength"], strict=True)
    rows["configuration"] = [names[key] for key in keys]
    order = {configuration: k for k, configuration in enumerate(factors["configuration"])}
    series = sorted(names, key=lambda key: (order.get(key[0], len(order)), -key[1]))
    known = factors.set_index("configuration", drop=False)
    made = [
        {**known.loc[c].to_dict(), "configuration": names[c, s], "strength": s}
        for c, s in series
        if c in order
    ]
    scored = {configuration for configuration, _ in series}
    unscored = factors[~factors["configuration"].isin(scored)]
    expanded = pd.concat([pd.DataFrame(made, columns=[*factors, "strength"]), unscored])
    if expanded["strength"].nunique() < 2:
        expanded = expanded.drop(columns="strength")
    expanded = expanded.astype(factors.dtypes.to_dict()).reset_index(drop=True)
    return (
        pd.concat([rows, beside(metrics)], ignore_index=True),
        expanded,
        {names[key]: key[0] for key in names},
    )


def together(frame: pd.DataFrame, configurations: Mapping[str, str]) -> pd.DataFrame:
    """The frame under the study's own names, for storing."""
    made = frame.copy()
    if "configuration" in made:
        made["configuration"] = made["configuration"].map(lambda c: configurations.get(c, c))
    for column, none in (("seed", NO_SEED), ("epoch", NO_EPOCH)):
        if column in made:
            made[column] = made[column].astype("Int64").replace(none, pd.NA)
    return made


def name(configuration: str, strength: float, alone: bool = False) -> str:
    """Strength 1 goes without saying, but where strengths are all that is compared (`alone`).

    >>> name("lora", 1.0), name("lora", 0.5), name("lora", 1.0, alone=True)
    ('lora', 'lora ×0.5', 'lora ×1')
    """
    return configuration if strength == 1 and not alone else f"{configuration} ×{exact(strength)}"
