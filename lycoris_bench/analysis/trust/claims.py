"""The paper's claims, on the truth."""

from typing import Any

import pandas as pd

from lycoris_bench.analysis.claims.verdicts import judge
from lycoris_bench.analysis.coded import texts
from lycoris_bench.analysis.columns import CRITERIA
from lycoris_bench.analysis.trust.truths import OF_CRITERION

ANSWERS = {criterion.metric: OF_CRITERION[criterion.key] for criterion in CRITERIA}
"""The metric that a claim is of, and what is true of the same images."""


def claims_in_truth(scores: pd.DataFrame, factors: pd.DataFrame) -> dict[str, Any] | None:
    """What `judge` says of the true rates' ranks, each under the name of the metric of the claim.
    None where no truth is known."""
    metrics = {truth: metric for metric, truth in ANSWERS.items()}
    known = texts(scores[scores["metric"].isin(metrics)])
    if known.empty:
        return None
    return judge(known.assign(metric=known["metric"].map(metrics)), factors)
