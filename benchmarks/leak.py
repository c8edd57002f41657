"""Does the number of leak say how often the concept is there without being asked for?

    python -m benchmarks.leak RUN

Of a run of the miniature world whose study names `concept_shown`: by configuration, category and
prompt type the leak by the main encoder beside the same ratio of the true shares of images that
show the concept, and how the two are ordered alike (Spearman)."""

import argparse
import sys
from pathlib import Path

from scipy import stats

from benchmarks.sentences import answered
from lycoris_bench import open_run
from lycoris_bench.analysis.leak import FIDELITY, TRUTH
from lycoris_bench.messages.errors import BenchError

KEYS = ["configuration", "strength", "category", "prompt_type"]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    table = open_run(parser.parse_args().run).table("leaks")
    sides = [table[table["metric"] == name].set_index(KEYS) for name in (FIDELITY, TRUTH)]
    both = sides[0].join(sides[1], lsuffix="_seen", rsuffix="_true", how="inner")
    if both.empty:
        raise BenchError(f"the run has no leak both by {FIDELITY} and by {TRUTH}")
    columns = [
        f"{name}_{side}" for name in ("leak", "unasked", "asked") for side in ("seen", "true")
    ]
    print(both[columns].round(3).to_string())
    for name in ("leak", "unasked"):
        known = both[[f"{name}_seen", f"{name}_true"]].dropna()
        if len(known) > 2:
            rho = stats.spearmanr(*known.to_numpy().T).statistic
            print(f"Spearman of {name} seen and true over {len(known)} rows: {rho:.2f}")


if __name__ == "__main__":
    sys.exit(answered(main))
