"""Which rates and epochs do the pilots give? The rules of configs/miniature-pilot*.toml, applied.

`python -m benchmarks.pilot results/pilot results/pilot-2`
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from benchmarks.sentences import answered
from lycoris_bench import open_run
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.study.load import Study

MIDDLE, LAST = 12, 20
LEAST_VENDI, LEAST_TEXT = 0.8, 0.75  # of the base model's
HALF = 0.5


def shares(metrics: pd.DataFrame) -> pd.DataFrame:
    """By configuration and epoch: `closed`, the share of the distance from base to real images in
    image similarity; `vendi` and `text` (similarity on alter prompts), of the base model's; means
    over classes, then categories."""
    trigger = metrics[(metrics["prompt_type"] == "trigger")]
    trigger = trigger[trigger["encoder"] == "miniature-image"]
    likeness, diversity = (
        _means(trigger[trigger["metric"] == name]) for name in ("image_similarity", "vendi")
    )
    alter = metrics[(metrics["prompt_type"] == "alter")]
    text = _means(alter[alter["metric"] == "text_similarity"])
    base, real = (likeness.loc[[name]].iloc[0] for name in ("base", "real"))
    return pd.DataFrame(
        {
            "closed": (likeness - base) / (real - base),
            "vendi": diversity / diversity.loc[["base"]].iloc[0],
            "text": text / text.loc[["base"]].iloc[0],
        }
    ).drop(["base", "real"], errors="ignore")


def _means(rows: pd.DataFrame) -> pd.Series:
    """Over the sub-classes of a class, the classes of a category, the categories."""
    key = ["configuration", "epoch"]
    rows = rows.assign(epoch=rows["epoch"].astype("float64").fillna(-1))
    by_class = rows.groupby([*key, "category", "class"])["value"].mean()
    return by_class.groupby([*key, "category"]).mean().groupby(key).mean()


def chosen(table: pd.DataFrame, rates: dict[str, float]) -> tuple[str, float]:
    """The configuration of these that closes most by the middle epoch without having collapsed in
    diversity, and its rate."""
    middle = table.xs(MIDDLE, level="epoch").loc[list(rates)]
    usable = middle[middle["vendi"] >= LEAST_VENDI]
    name = str(usable["closed"].idxmax())
    return name, rates[name]


def collapsed(table: pd.DataFrame) -> pd.DataFrame:
    """What has lost diversity, or no longer draws what it is asked for."""
    return table[(table["vendi"] < LEAST_VENDI) | (table["text"] < LEAST_TEXT)]


def _check(
    folder: Path, study: Study, epochs: tuple[int, ...], algorithms: tuple[str, ...]
) -> None:
    """BenchError: the run is of another study than a pilot's rules are for."""
    settings = study.settings
    lacking = [f"epoch {epoch}" for epoch in epochs if epoch not in settings.epochs]
    lacking += [name for name in algorithms if name not in settings.algorithms]
    lacking += [
        f"{kind} prompts"
        for kind in ("trigger", "alter")
        if kind not in settings.sampling.prompt_types
    ]
    if settings.heldout is None:
        lacking.append("heldout")
    if lacking:
        raise BenchError(f"{folder} is no pilot: its study has no {', no '.join(lacking)}")


def first(folder: Path) -> None:
    """Prints the table of the first pilot and what follows by its rule."""
    run = open_run(folder)
    _check(folder, run.study, (MIDDLE, LAST), ("lora", "full"))
    table = shares(run.table("metrics"))
    print(f"{run.study.name}\n{table.round(3).to_string()}")
    rates: dict[str, dict[str, float]] = {}
    for configuration in run.study.configurations:
        of = rates.setdefault(configuration.algorithm, {})
        of[configuration.name] = configuration.lr
    lora, rate = chosen(table, rates["lora"])
    _, native = chosen(table, rates["full"])
    print(f"lora, loha, lokr: {rate:g}; full: {native / 5:g}, {native:g} and {native / 10:g}")
    long_enough = table.loc[(lora, LAST), "closed"] >= HALF
    print("epochs:", "4, 12, 20" if long_enough else "6, 18, 30")


def second(folder: Path) -> None:
    """Prints the table of the second pilot and whether its rate stands."""
    run = open_run(folder)
    _check(folder, run.study, (), ("lora",))
    table = shares(run.table("metrics"))
    print(f"\n{run.study.name}\n{table.round(3).to_string()}")
    wrecks = [str(name) for name, _ in collapsed(table).index]
    (rate,) = {c.lr for c in run.study.configurations if c.name == c.algorithm}
    said = f"collapsed: {', '.join(wrecks)}; the rate is halved" if wrecks else "none collapsed"
    print(f"lora, loha, lokr at {rate:g}: {said}")


def main() -> None:
    """Prints both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path, nargs="*")
    given = parser.parse_args()
    first(given.first)
    for folder in given.second:
        second(folder)


if __name__ == "__main__":
    sys.exit(answered(main))
