"""Does drawing in bf16 in place of fp32 move scores, or rankings, beyond the noise of the seeds?

    lycoris-bench train package:configs/demo.toml --run fp32
    cp -r fp32 bf16; cp -r fp32 seeds
    for stage in generate score: each with --set sampling.images=4 and
        --run fp32   --set sampling.precision=fp32
        --run bf16   --set sampling.precision=bf16
        --run seeds  --set sampling.precision=bf16 --set sampling.seed=5000
    python -m benchmarks.precision fp32 bf16 seeds

The three runs have the same trained weights. A score is a metric through an encoder of one concept
and prompt type; a configuration's means over them are what reports rank. For each metric: the rank
correlation (Spearman) of the checkpoints' means between fp32 and bf16, and between two seeds of
the noise; the largest move of a mean, and its standard deviation, in parts of the standard
deviation between checkpoints."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

CHECKPOINT = ["configuration", "epoch"]
MEASURED = ["metric", "encoder"]
REAL = "real"


def main() -> None:
    """Prints a row for each metric and encoder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs=3, type=Path, metavar="RUN", help="fp32, bf16, other seeds")
    tables = [means(folder) for folder in parser.parse_args().runs]
    print("| metric | encoder | rank correlation fp32 / bf16 | of two seeds | move: largest, rms | "
          "of two seeds |\n|---|---|---|---|---|---|")  # fmt: skip
    for measured in tables[0].columns:
        exact, half, other = (table[measured] for table in tables)
        spread = float(exact.std())
        said = []
        for a, b in ((exact, half), (half, other)):
            pair = pd.concat([a, b], axis=1).dropna().to_numpy()
            moved = (pair[:, 1] - pair[:, 0]) / spread
            said.append(
                (spearmanr(pair).statistic, np.abs(moved).max(), np.sqrt((moved**2).mean()))
            )
        (rank, largest, rms), (rank_noise, largest_noise, rms_noise) = said
        print(f"| {measured[0]} | {measured[1]} | {rank:.3f} | {rank_noise:.3f} | "
              f"{largest:.2f}, {rms:.2f} | {largest_noise:.2f}, {rms_noise:.2f} |")  # fmt: skip


def means(folder: Path) -> pd.DataFrame:
    """Checkpoint x (metric, encoder): the mean over concepts and prompt types."""
    rows = pd.read_parquet(folder / "metrics.parquet")
    rows = rows[(rows["configuration"] != REAL) & (rows["class"] != "")]
    rows = rows.assign(
        epoch=rows["epoch"].fillna(0).astype(int), encoder=rows["encoder"].fillna("")
    )
    grouped = rows.groupby([*CHECKPOINT, *MEASURED])["value"].mean()
    return grouped.unstack(MEASURED)


if __name__ == "__main__":
    main()
