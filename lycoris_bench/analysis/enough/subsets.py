"""The scores that part of the images, or of the seeds, of a run would have given: each subset is
ranked anew, as a view of its own."""

import random
from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from lycoris_bench.analysis.columns import (
    CHECKPOINT,
    CONCEPT,
    CRITERIA,
    OVERALL,
    SECOND,
    SERIES,
    VIEW,
    Criterion,
    ordered,
    trained,
)
from lycoris_bench.analysis.comparing.common import common
from lycoris_bench.analysis.comparing.pairs import grids
from lycoris_bench.analysis.enough.sampled import Sampled
from lycoris_bench.analysis.main_scores import JUDGED, cells_of, main_rows
from lycoris_bench.analysis.stored_run import StoredRun
from lycoris_bench.analysis.trust.truths import OF_CRITERION
from lycoris_bench.run.store import Store

Array = np.ndarray
MOST = 12  # choices of so many seeds
WHOLE, TRUE = "whole", "true"
LABEL = "resize"  # a subset is a way of looking at a checkpoint, as a resizing is
SET = [*CHECKPOINT, *CONCEPT, *VIEW]  # what has a value, and a value of each of its parts


def sampled(run: StoredRun) -> dict[str, Sampled]:
    """By the key of each criterion that two configurations have scores of in two classes.
    StoreError: no metric table; BenchError: numbers that cannot be compared."""
    true = {c.key: (OF_CRITERION[c.key], c.prompt_type) for c in CRITERIA}
    source = str(Store(run.folder).table("metrics"))
    rows = main_rows(run.table("metrics"), source, [*JUDGED, *true.values()])
    parts = run.parts(rows[VIEW])
    found = {}
    for criterion in CRITERIA:
        own, of_truth = (
            rows[(rows["metric"] == metric) & (rows["prompt_type"] == kind)]
            for metric, kind in ((criterion.metric, criterion.prompt_type), true[criterion.key])
        )
        if (scores := of_rows(own, parts, of_truth, criterion)) is not None:
            found[criterion.key] = scores
    return found


def of_rows(
    rows: pd.DataFrame, parts: pd.DataFrame, true: pd.DataFrame, criterion: Criterion
) -> Sampled | None:
    """rows, true: of one criterion, and of its truth (`main_rows`); parts: any run's
    (`StoredRun.parts`). None: fewer than two configurations or classes."""
    rows, true = trained(rows), trained(true)
    if rows.empty:
        return None
    values, in_all = _values_of_parts(rows, parts), int(rows["n"].max())
    frames = dict(_of_images(rows, values, in_all))
    seeds = ordered(rows["seed"].dropna())
    for count in range(1, len(seeds)):
        choices = [*combinations(seeds, count)]
        for chosen in random.Random(0).sample(choices, min(len(choices), MOST)):
            frames[f"seeds {count} {chosen}"] = rows[rows["seed"].isin(chosen)]
    frames |= {WHOLE: rows, TRUE: true}
    by_label = _scores({name: frame for name, frame in frames.items() if len(frame)})
    if WHOLE not in by_label:
        return None
    configurations, kept, classes = common(by_label[WHOLE])
    if min(len(configurations), len(classes)) < 2:
        return None
    grid = np.ix_(configurations, kept, classes)

    def of(axis: str) -> dict[int, Array]:
        found: dict[int, list[Array]] = {}
        for label, scores in by_label.items():
            if label.startswith(f"{axis} "):
                cells = scores[grid]
                cells = cells[:, ~np.isnan(cells).all(axis=(0, 2))]
                found.setdefault(int(label.split()[1]), []).append(cells)
        return {n: np.stack(cells) for n, cells in found.items() if _complete(cells)}

    truth = by_label[TRUE][grid] if TRUE in by_label else None
    return Sampled(
        in_all,
        by_label[WHOLE][grid],
        of("images"),
        of("seeds"),
        None if truth is None or np.isnan(truth).any() else truth,
        least=1 if values.shape[1] == in_all else 2,
    )


def _values_of_parts(rows: pd.DataFrame, parts: pd.DataFrame) -> Array:
    """[sets, parts], in the order of the images; no parts where the sets have unlike numbers of
    them."""
    if parts.empty:
        return np.empty((len(rows), 0))
    numbered = rows[SET].assign(row=range(len(rows)))
    parts = parts if SECOND in parts else parts.assign(**{SECOND: ""})
    there = numbered.merge(parts.astype({"seed": "Int64", "epoch": "Int64"}), on=SET)
    there["place"] = there.groupby("row").cumcount()
    wide = there.pivot(index="row", columns="place", values="value").reindex(numbered["row"])
    return wide.to_numpy() if wide.notna().all(axis=None) else np.empty((len(rows), 0))


def _of_images(
    rows: pd.DataFrame, values: Array, images: int
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Subsets of 1, 2, 4, ... parts: image k is in subset k modulo their number, so that each has
    images of most prompts."""
    parts, size = values.shape[1], 1
    while 2 * size <= parts:
        count = parts // size
        for k in range(count):
            value = values[:, k::count][:, :size].mean(axis=1)
            of = images * size // parts
            yield f"images {of} {k}", rows.assign(value=value, n=of)
        size *= 2


def _scores(frames: Mapping[str, pd.DataFrame]) -> dict[str, Array]:
    """Label -> [configurations, seeds, classes], over the same axes."""
    stacked = [frame.assign(**{LABEL: label}) for label, frame in frames.items()]
    if not stacked:
        return {}
    cells = cells_of(pd.concat(stacked, ignore_index=True))
    cells = cells[cells["category"] == OVERALL]
    names = ordered(cells[cells[LABEL] == WHOLE][SERIES])
    if not names:
        return {}
    labels = ordered(cells[LABEL])
    return dict(zip(labels, grids(cells, "score", {LABEL: labels, SERIES: names}), strict=True))


def _complete(cells: list[Array]) -> bool:
    return len({grid.shape for grid in cells}) == 1 and not np.isnan(cells).any()
