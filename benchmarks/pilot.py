"""Which rates and epochs does the pilot give? The rule of configs/miniature-pilot.toml, applied.

`python -m benchmarks.pilot results/pilot`
"""

import argparse
from pathlib import Path

import pandas as pd

from lycoris_bench import open_run

MIDDLE, LAST = 12, 20
LEAST_VENDI = 0.8  # of the base model's
HALF = 0.5


def shares(metrics: pd.DataFrame) -> pd.DataFrame:
    """By configuration and epoch: `closed`, the share of the distance from base to real images in
    image similarity, and `vendi`, that of the base model's; means over classes, then categories."""
    rows = metrics[
        (metrics["prompt_type"] == "trigger") & (metrics["encoder"] == "miniature-image")
    ]
    likeness, diversity = (_means(rows[rows["metric"] == m]) for m in ("image_similarity", "vendi"))
    base, real = (likeness.loc[[name]].iloc[0] for name in ("base", "real"))
    return pd.DataFrame(
        {
            "closed": (likeness - base) / (real - base),
            "vendi": diversity / diversity.loc[["base"]].iloc[0],
        }
    ).drop(["base", "real"], errors="ignore")


def _means(rows: pd.DataFrame) -> pd.Series:
    """Over the sub-classes of a class, the classes of a category, the categories."""
    key = ["configuration", "epoch"]
    rows = rows.assign(epoch=rows["epoch"].astype("float64").fillna(-1))
    by_class = rows.groupby([*key, "category", "class"])["value"].mean()
    return by_class.groupby([*key, "category"]).mean().groupby(key).mean()


def chosen(table: pd.DataFrame, rates: dict[str, float]) -> tuple[str, float]:
    """The configuration of these that closes most by the middle epoch without having collapsed, and
    its rate."""
    middle = table.xs(MIDDLE, level="epoch").loc[list(rates)]
    usable = middle[middle["vendi"] >= LEAST_VENDI]
    name = str(usable["closed"].idxmax())
    return name, rates[name]


def main() -> None:
    """Prints the table and what follows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    run = open_run(parser.parse_args().run)
    table = shares(run.table("metrics"))
    print(table.round(3).to_string())
    rates: dict[str, dict[str, float]] = {}
    for configuration in run.study.configurations:
        of = rates.setdefault(configuration.algorithm, {})
        of[configuration.name] = configuration.lr
    lora, rate = chosen(table, rates["lora"])
    _, native = chosen(table, rates["full"])
    print(f"lora, loha, lokr: {rate:g}; {rate / 5:g} and {2 * rate:g}")
    print(f"full: {native / 5:g}; {native:g} and {native / 10:g}")
    long_enough = table.loc[(lora, LAST), "closed"] >= HALF
    print("epochs:", "4, 12, 20" if long_enough else "6, 18, 30")


if __name__ == "__main__":
    main()
