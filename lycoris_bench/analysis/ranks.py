"""Rank normalisation (paper D.6): raw values of unlike scale become scores between 0 and 1."""

import pandas as pd

from lycoris_bench.analysis.columns import CHECKPOINT, GROUP, check, reference_rows, trained
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.study.records import REAL


def rank_scores(metrics: pd.DataFrame) -> pd.DataFrame:
    """score = (rank - 1) / (n - 1) among all checkpoints: worst 0, best 1, ties the mean rank.

    Checkpoints are ranked per metric, encoder, resizing, prompt type and concept; for
    better = "lower" the smallest is best. Missing values are left out, and so is a group of one,
    which has no rank. Base and real images are not ranked. -> the ranked rows + `score`.
    ValueError: a group holds unlike fingerprints, or a checkpoint twice."""
    rows = scored(metrics)
    return rows[rows["score"].notna()].reset_index(drop=True)


def scored(metrics: pd.DataFrame) -> pd.DataFrame:
    """The same with a row for every checkpoint: where it has no rank, its score is absent."""
    metrics = check(metrics)
    refuse_unlike(metrics)
    rows = trained(metrics)
    refuse_twice(rows)
    values = rows.groupby(GROUP, sort=False)["value"]
    n, rank = values.transform("size"), values.rank(method="average")
    rank = rank.where(rows["better"] == "higher", n + 1 - rank)
    return rows.assign(score=(rank - 1) / (n - 1))  # 0 / 0 in a group of one


def positions(metrics: pd.DataFrame) -> pd.DataFrame:
    """Where base and real images would stand: the share of checkpoints they beat, ties half.

    -> the rows of base and real + `position` in [0, 1], on the axis of the scores."""
    metrics = check(metrics)
    outside, ranked = reference_rows(metrics), trained(metrics)
    pairs = outside.reset_index().merge(
        ranked[[*GROUP, "value"]], on=GROUP, suffixes=("", "_other")
    )
    ahead = pairs["value"] - pairs["value_other"]
    ahead = ahead.where(pairs["better"] == "higher", -ahead)
    beaten = (ahead > 0) + 0.5 * (ahead == 0)
    return outside.assign(position=beaten.groupby(pairs["index"]).mean().reindex(outside.index))


def refuse_twice(rows: pd.DataFrame) -> None:
    """A checkpoint has one value in a group: a second one means that two runs were mixed."""
    twice = rows[rows.duplicated([*GROUP, *CHECKPOINT])]
    if len(twice):
        raise BenchError(
            f"{checkpoint_name(twice.iloc[0])} has two values of {_group(twice.iloc[0])}"
        )


def refuse_unlike(metrics: pd.DataFrame) -> None:
    """Scores are only ranked together where all that they depend on is alike (design, rule 3).

    Real images are exempt: their set has its own size and its own reference images."""
    rows = metrics[metrics["configuration"] != REAL]
    kinds = rows.groupby(GROUP, sort=False)["fingerprint"].transform("nunique")
    unlike = rows[kinds > 1]
    if unlike.empty:
        return
    group = rows[(rows[GROUP] == unlike.iloc[0][GROUP]).all(axis=1)]
    fields = [name for name in ("study", "n", "better") if group[name].nunique() > 1]
    differ = " and ".join(f"'{name}'" for name in fields)
    sides = [
        f"{fingerprint} ({checkpoint_name(part.iloc[0])}"
        + (f" and {len(part) - 1} more" if len(part) > 1 else "")
        + "".join(f", {name} {part[name].iloc[0]}" for name in fields)
        + ")"
        for fingerprint, part in group.groupby("fingerprint", sort=False)
    ]
    raise BenchError(
        f"{_group(unlike.iloc[0])}: unlike fingerprints cannot be ranked together: "
        f"{' against '.join(sides)}; they differ in "
        f"{differ or 'metric version, encoder record or reference images'}"
    )


def checkpoint_name(row: pd.Series) -> str:
    """`lora/seed-23/epoch-010`; base and real images have neither seed nor epoch."""
    if pd.isna(row["epoch"]):
        return str(row["series"])
    return f"{row['series']}/seed-{row['seed']}/epoch-{row['epoch']:03d}"


def _group(row: pd.Series) -> str:
    concept = "/".join(str(row[name]) for name in ("category", "class", "subclass") if row[name])
    return (
        f"{row['metric']} ({row['encoder']}, {row['resize']}) of {concept or 'all concepts'} "
        f"on {row['prompt_type']} prompts"
    )
