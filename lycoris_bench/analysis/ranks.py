"""Rank normalisation (paper D.6): raw values of unlike scale become scores between 0 and 1."""

import pandas as pd

from lycoris_bench.analysis.columns import GROUP, check, reference_rows, trained
from lycoris_bench.analysis.unlike import refuse_twice, refuse_unlike


def rank_scores(metrics: pd.DataFrame) -> pd.DataFrame:
    """score = (rank - 1) / (n - 1) among all checkpoints: worst 0, best 1, ties the mean rank.

    Checkpoints are ranked per metric, encoder, resizing, prompt type and concept; for
    better = "lower" the smallest is best. Missing values are left out, and so is a group of one,
    which has no rank. Base and real images are not ranked. -> the ranked rows + `score`.
    BenchError: a group holds unlike fingerprints, numbers of images or directions, or a checkpoint
    twice."""
    rows = scored(metrics)
    return rows[rows["score"].notna()].reset_index(drop=True)


def scored(metrics: pd.DataFrame) -> pd.DataFrame:
    """The same with a row for every checkpoint: where it has no rank, its score is absent."""
    metrics = check(metrics)
    refuse_unlike(metrics)
    rows = trained(metrics)
    refuse_twice(rows)
    values = rows.groupby(GROUP, sort=False, observed=True)["value"]
    n, rank = values.transform("size"), values.rank(method="average")
    rank = rank.where(rows["better"] == "higher", n + 1 - rank)
    return rows.assign(score=(rank - 1) / (n - 1))  # 0 / 0 in a group of one


def positions(metrics: pd.DataFrame) -> pd.DataFrame:
    """Where base and real images would stand: the share of checkpoints they beat, ties half.

    -> the rows of base and real + `position` in [0, 1], on the axis of the scores."""
    metrics = check(metrics)
    outside, ranked = reference_rows(metrics), trained(metrics)
    pairs = (
        outside[[*GROUP, "better", "value"]]
        .reset_index()
        .merge(ranked[[*GROUP, "value"]], on=GROUP, suffixes=("", "_other"))
    )
    ahead = pairs["value"] - pairs["value_other"]
    ahead = ahead.where(pairs["better"] == "higher", -ahead)
    beaten = (ahead > 0) + 0.5 * (ahead == 0)
    return outside.assign(position=beaten.groupby(pairs["index"]).mean().reindex(outside.index))
