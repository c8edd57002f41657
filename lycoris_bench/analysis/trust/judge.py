"""All that the truth says of the metrics of a table."""

from dataclasses import dataclass

import pandas as pd

from lycoris_bench.analysis.aggregation import units_in_parts
from lycoris_bench.analysis.trust.agreement import agreements
from lycoris_bench.analysis.trust.cells import cells_of
from lycoris_bench.analysis.trust.choices import choices
from lycoris_bench.analysis.trust.misled import misled
from lycoris_bench.analysis.trust.truths import is_known

TRUST = ("agreements", "misled", "choices")


@dataclass(frozen=True)
class Trust:
    """Tables of the modules of the same names."""

    agreements: pd.DataFrame
    misled: pd.DataFrame
    choices: pd.DataFrame


def trust(scores: pd.DataFrame) -> Trust | None:
    """Of the ranked rows (`ranks.rank_scores`); None where the truth is not known."""
    if not is_known(scores):
        return None
    cells = [cells for part in units_in_parts(scores) for cells in cells_of(part)]
    return Trust(agreements(cells), misled(cells), choices(cells))
