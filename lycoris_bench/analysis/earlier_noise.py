"""How much paired differences of scores vary in an earlier run: what a study like it may expect."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

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
from lycoris_bench.analysis.comparing.mean_squares import Components
from lycoris_bench.analysis.comparing.pairs import grids, mean_components
from lycoris_bench.analysis.findings.judgement import scores_of, seen_by
from lycoris_bench.analysis.ranks import rank_scores
from lycoris_bench.analysis.series import split_by_strength
from lycoris_bench.analysis.stored_run import open_run
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.run.store import Store


@dataclass(frozen=True)
class EarlierNoise:
    """Components of paired differences of scores by criterion; of the others why they are unknown.

    one_seed: nothing is known of how far trainings with other seeds differ."""

    source: str
    components: Mapping[str, Components]
    unknown: Mapping[str, str] = field(default_factory=dict)
    one_seed: bool = False


def noise_of_run(folder: Path) -> EarlierNoise:
    """Of a run's scores at the last epoch, through the first encoder of each metric, over all
    categories. StoreError: no run, or no metric table; BenchError: too few cells in it, or numbers
    that cannot be compared."""
    cells = _cells(open_run(folder).table("metrics"), str(Store(folder).table("metrics")))
    known: dict[str, Components] = {}
    unknown: dict[str, str] = {}
    seeds = 1
    for criterion in CRITERIA:
        scores = _scores(cells, criterion)
        if reason := _too_few(scores, criterion.what):
            unknown[criterion.key] = reason
        else:
            known[criterion.key] = mean_components(scores)
            seeds = max(seeds, _shared(scores)[0])
    if not known:
        raise BenchError(
            f"{folder} says nothing of how noisy scores are: it has {'; '.join(unknown.values())}; "
            "give another run with --from, or none for the published noise"
        )
    reasons = {key: f"{folder} has {reason}" for key, reason in unknown.items()}
    return EarlierNoise(f"those in {folder}", known, reasons, one_seed=seeds < 2)


def _cells(table: pd.DataFrame, source: str) -> pd.DataFrame:
    rows = check_file(table, source)
    asked = {(criterion.metric, criterion.prompt_type) for criterion in CRITERIA}
    views = pd.MultiIndex.from_frame(rows[["metric", "prompt_type"]])
    rows = rows[views.isin(asked)].reset_index(drop=True)
    names = pd.DataFrame({"configuration": rows["configuration"].unique()})
    rows, _ = split_by_strength(rows, names)
    return units(at_last_epoch(rank_scores(main_views(rows))))


def _scores(cells: pd.DataFrame, criterion: Criterion) -> np.ndarray:
    """[configurations, seeds, classes]"""
    scores = scores_of(seen_by(cells, OVERALL, criterion))
    return grids(scores) if scores else np.empty((0, 0, 0))


def _too_few(scores: np.ndarray, numbers: str) -> str:
    """What a run has of these numbers, if that says nothing of their noise; else ""."""
    if len(scores) < 2:
        return f"no {numbers} of two configurations"
    _, classes = _shared(scores)
    if classes < 2:
        return f"{numbers} of {classes or 'no'} class that two configurations share; 2 are needed"
    parts = mean_components(scores)
    if not parts.of_seeds + parts.of_classes + parts.residual > 0:
        return f"the same differences of {numbers} in every seed and class"
    return ""


def _shared(scores: np.ndarray) -> tuple[int, int]:
    """Seeds and classes in which the most alike of two configurations both have scores."""
    there = ~np.isnan(scores)
    first, second = np.triu_indices(len(scores), 1)
    both = there[first] & there[second]
    return int(both.any(axis=2).sum(axis=1).max()), int(both.any(axis=1).sum(axis=1).max())
