"""What the criteria judge by: scores at the last epoch, through the first encoder of each metric,
over all categories."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from lycoris_bench.analysis.aggregation import units
from lycoris_bench.analysis.columns import (
    CRITERIA,
    OVERALL,
    Criterion,
    at_last_epoch,
    check_file,
    main_views,
)
from lycoris_bench.analysis.findings.judgement import scores_of, seen_by
from lycoris_bench.analysis.ranks import rank_scores
from lycoris_bench.analysis.series import split_by_strength

JUDGED = tuple((criterion.metric, criterion.prompt_type) for criterion in CRITERIA)


def main_rows(
    table: pd.DataFrame, source: str, asked: Collection[tuple[str, str]] = JUDGED
) -> pd.DataFrame:
    """The rows of these (metric, prompt type), each series by its name, of all epochs.
    BenchError, beginning with `source`: columns are missing or hold what they cannot."""
    rows = check_file(table, source)
    views = pd.MultiIndex.from_frame(rows[["metric", "prompt_type"]])
    rows = rows[views.isin(list(asked))].reset_index(drop=True)
    names = pd.DataFrame({"configuration": rows["configuration"].unique()})
    return main_views(split_by_strength(rows, names)[0])


def cells_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Scores of the last epoch, ranked among all epochs, by class (`aggregation.units`)."""
    return units(at_last_epoch(rank_scores(rows)))


def scores_by(cells: pd.DataFrame, criterion: Criterion) -> np.ndarray:
    """[configurations, seeds, classes]; nan where one is missing."""
    return scores_of(seen_by(cells, OVERALL, criterion))[1]
