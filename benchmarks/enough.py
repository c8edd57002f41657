"""How many images, seeds and classes are enough? What parts of a run would have said.

    python -m benchmarks.enough RUN [--figure FILE.svg]

Of each criterion: Kendall's tau of the order of the configurations at the last epoch with that of
all that was drawn, and with the truth where the run has it; the smallest difference that is found 4
times in 5 of a pair that was named before, in the scores of all images; in brackets 95 % intervals
of a jackknife over classes."""

import argparse
import sys
from pathlib import Path

from benchmarks.sentences import answered
from lycoris_bench import open_run
from lycoris_bench.analysis.enough.curves import curves
from lycoris_bench.analysis.enough.subsets import sampled
from lycoris_bench.analysis.enough.tables import lines
from lycoris_bench.analysis.plots.saturation import saturation
from lycoris_bench.messages.errors import BenchError


def main() -> None:
    """Prints the tables, and draws them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--figure", type=Path, help="an SVG of the curves")
    asked = parser.parse_args()
    found = sampled(open_run(asked.run))
    if not found:
        raise BenchError(
            f"{asked.run} has no criterion by which two configurations compare in two classes"
        )
    known = {key: curves(scores) for key, scores in found.items()}
    for line in lines(found, known):
        print(line)
    if asked.figure:
        asked.figure.write_bytes(saturation(known))


if __name__ == "__main__":
    sys.exit(answered(main))
