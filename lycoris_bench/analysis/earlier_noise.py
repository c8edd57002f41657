"""How much paired differences of scores vary in an earlier run: what a study like it may expect."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lycoris_bench.analysis.columns import CRITERIA
from lycoris_bench.analysis.comparing.mean_squares import Components
from lycoris_bench.analysis.comparing.pairs import mean_components
from lycoris_bench.analysis.enough.components import ByImages, by_images
from lycoris_bench.analysis.enough.subsets import sampled
from lycoris_bench.analysis.main_scores import cells_of, main_rows, scores_by
from lycoris_bench.analysis.stored_run import open_run
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.run.store import Store


@dataclass(frozen=True)
class EarlierNoise:
    """Components of paired differences of scores by criterion; of the others why they are unknown.

    by_images: the same as a function of the number of images, where the run keeps numbers of parts
    of its image sets. one_seed: nothing is known of how far trainings with other seeds differ."""

    source: str
    components: Mapping[str, Components]
    unknown: Mapping[str, str] = field(default_factory=dict)
    one_seed: bool = False
    by_images: Mapping[str, ByImages] = field(default_factory=dict)


def noise_of_run(folder: Path) -> EarlierNoise:
    """Of a run's scores at the last epoch, through the first encoder of each metric, over all
    categories. StoreError: no run, or no metric table; BenchError: too few cells in it, or numbers
    that cannot be compared."""
    run = open_run(folder)
    cells = cells_of(main_rows(run.table("metrics"), str(Store(folder).table("metrics"))))
    known: dict[str, Components] = {}
    unknown: dict[str, str] = {}
    seeds = 1
    for criterion in CRITERIA:
        scores = scores_by(cells, criterion)
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
    parts = {key: by_images(scores) for key, scores in sampled(run).items() if key in known}
    of_images = {key: replace(found, whole=known[key]) for key, found in parts.items() if found}
    return EarlierNoise(f"those in {folder}", known, reasons, seeds < 2, of_images)


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
