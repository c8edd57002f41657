"""Does the number of leak say how often the concept is there without being asked for?

    python -m benchmarks.leak RUN [RUN ...]

Of runs of the miniature world whose studies name `concept_shown`: the leak of each configuration by
the main encoder, beside the same ratio of the true shares of images that show the concept; then, by
class, how what is added to the base model without the trigger is ordered by both (Spearman)."""

import argparse
import sys
from pathlib import Path

import pandas as pd
from scipy import stats

from benchmarks.sentences import answered
from lycoris_bench import open_run
from lycoris_bench.analysis.columns import CONCEPT, OVERALL, UNASKED, at_last_epoch
from lycoris_bench.analysis.leak import FIDELITY, TRUTH
from lycoris_bench.messages.errors import BenchError

CHECKPOINT = ["configuration", "strength", "seed"]
COLUMNS = ["unasked", "asked", "leak", "low", "high", "p"]


def of_run(folder: Path) -> pd.DataFrame:
    """Leak by encoder and in truth, a row each for configuration and prompt type."""
    table = open_run(folder).table("leaks")
    if not {FIDELITY, TRUTH} <= {*table["metric"]}:
        raise BenchError(f"{folder} has no leak both by {FIDELITY} and by {TRUTH}")
    rows = table[table["category"] == OVERALL]
    return rows.set_index(["configuration", "prompt_type", "metric"])[COLUMNS].sort_index()


def added(folder: Path) -> pd.DataFrame:
    """What each checkpoint of the last epoch adds without the trigger, by class: seen and true."""
    rows = open_run(folder).table("metrics")
    rows = rows[rows["prompt_type"].isin(UNASKED) & rows["metric"].isin([FIDELITY, TRUTH])]
    rows = rows[rows["encoder"].isin(rows.drop_duplicates("metric")["encoder"])]
    keys = [*CONCEPT, "prompt_type", "metric"]
    base = rows[rows["configuration"] == "base"].set_index(keys)["value"].rename("base")
    drawn = at_last_epoch(rows[rows["configuration"] != "base"]).join(base, on=keys)
    drawn = drawn.assign(added=drawn["value"] - drawn["base"], run=str(folder))
    sides = drawn.pivot_table("added", ["run", *CHECKPOINT, *CONCEPT, "prompt_type"], "metric")
    return sides.reset_index("prompt_type")


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    runs = parser.parse_args().runs
    for folder in runs:
        print(folder, of_run(folder).round(3).to_string(), sep="\n")
    both = pd.concat([added(folder) for folder in runs])
    for kind, rows in both.groupby("prompt_type"):
        truth = rows[TRUTH]
        rho = (
            "no order"
            if truth.nunique() < 2
            else f"{stats.spearmanr(truth, rows[FIDELITY])[0]:.2f}"
        )
        print(
            f"{kind}: {len(rows)} classes, {(truth > 0).sum()} with leak in truth; Spearman {rho}"
        )


if __name__ == "__main__":
    sys.exit(answered(main))
