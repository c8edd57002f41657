"""The figures of a report, each with the words that stand in for it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import pandas as pd

from lycoris_bench.analysis.coded import texts
from lycoris_bench.analysis.columns import (
    CRITERIA,
    VIEW,
    as_drawn,
    at_last_epoch,
    explained,
    first_views,
    metrics_and_kinds,
    ordered,
    words,
)
from lycoris_bench.analysis.plots.beeswarm import beeswarm
from lycoris_bench.analysis.plots.curves import curves
from lycoris_bench.analysis.plots.heatmap import heatmap
from lycoris_bench.analysis.plots.scatter import PAIRS, scatter, title
from lycoris_bench.messages.numbers import fixed

# Not in the square of metrics: the first two ask what Vendi asks, and a number of a whole
# checkpoint shares no sample with those of concepts. The table of correlations has them all.
APART = ("dissimilarity", "variance", "frechet_distance")


@dataclass(frozen=True)
class Figure:
    """An SVG image and the words that stand in for it."""

    svg: bytes
    alt: str

    @property
    def size(self) -> tuple[str, str]:
        """Width and height, whose ratio keeps its place on the page before it is drawn."""
        box = re.search(rb'viewBox="0 0 ([\d.]+) ([\d.]+)"', self.svg)
        return (box[1].decode(), box[2].decode()) if box else ("4", "3")


def scatters(
    aggregate: pd.DataFrame, references: pd.DataFrame, factors: pd.DataFrame
) -> Iterator[Figure]:
    """The trade-offs of one category: what its tables say of two criteria at a time, a figure for
    each epoch that is shown."""
    there = metrics_and_kinds(aggregate)
    for pair, epoch in product(PAIRS, shown_epochs(aggregate)):
        x, y = as_drawn(pair, there)
        if svg := scatter(aggregate, references, factors, (x, y), epoch):
            when = f" at epoch {epoch}" if epoch is not None else ""
            yield Figure(
                svg,
                f"Scatter plot of {title(y[0], first=False)} on {y[1]} prompts against "
                f"{title(x[0], first=False)} on {x[1]} prompts{when}, a point for each "
                "configuration; the scores of the last epoch are in the table of the same category",
            )


def undrawn(rows: pd.DataFrame, axes: Iterable[tuple[str, str]]) -> str | None:
    """A sentence that names the views for want of which a plot is missing; None: none is.

    axes: metric and prompt type of each view that the plots are of."""
    there = metrics_and_kinds(rows)
    lacking = [
        f"{words(m)} on {kind} prompts"
        for m, kind in as_drawn(ordered(axes), there)
        if (m, kind) not in there
    ]
    return f"Not drawn, as there are no scores of it: {', '.join(lacking)}." if lacking else None


def shown_epochs(rows: pd.DataFrame, most: int = 3) -> list[int | None]:
    """The epochs that figures are drawn of: all, or the first, the last and some between them.

    >>> shown_epochs(pd.DataFrame({"epoch": [1, 2, 3, 4, 5]}))
    [1, 3, 5]
    """
    epochs = sorted(map(int, rows["epoch"].dropna().unique()))
    if len(epochs) > most:
        epochs = [epochs[round(k * (len(epochs) - 1) / (most - 1))] for k in range(most)]
    return [*epochs] or [None]


def over(
    along: str, checkpoints: pd.DataFrame, references: pd.DataFrame, factors: pd.DataFrame
) -> Iterator[Figure]:
    """How the value of each criterion moves with "epoch" or "strength", in one category; where
    there is none, that of each other metric."""
    there = metrics_and_kinds(checkpoints)
    criteria = as_drawn([(c.metric, c.prompt_type) for c in CRITERIA], there)
    for metric, prompt_type in [axis for axis in criteria if axis in there] or there:
        if svg := curves(checkpoints, references, factors, (metric, prompt_type), along):
            alt = (
                f"Curves of {words(metric)} on {prompt_type} prompts over {along}s, "
                "a line for each configuration"
            )
            yield Figure(svg, alt)


def over_strengths(
    checkpoints: pd.DataFrame, references: pd.DataFrame, factors: pd.DataFrame
) -> Iterator[Figure]:
    """The same over strengths, at the last epoch."""
    return over("strength", at_last_epoch(checkpoints), references, factors)


def swarms(shap: pd.DataFrame, factors: pd.DataFrame) -> Iterator[Figure]:
    """Beeswarms of one category, of what the paper shows and the main encoder of each."""
    for metric, prompt_type in explained(shap):
        part = shap[(shap["metric"] == metric) & (shap["prompt_type"] == prompt_type)]
        if part.empty:
            continue
        part = part[part["encoder"] == part["encoder"].iloc[0]]
        reach = part["shap"].abs().groupby(part["feature"]).mean().sort_values(ascending=False)
        sizes = ", ".join(f"{name} {fixed(size)}" for name, size in reach.items())
        alt = (
            f"SHAP values of {words(metric)} on {prompt_type} prompts; "
            f"mean absolute effects: {sizes}"
        )
        yield Figure(beeswarm(part, factors), alt)


def agreement(correlation: pd.DataFrame, scores: pd.DataFrame) -> Iterator[Figure]:
    """Between criteria (each metric's main view), then between encoders and resizings."""
    main = first_views(scores).set_index("metric")
    seen = [*texts(scores[VIEW].drop_duplicates()).itertuples(index=False, name=None)]
    criteria = [
        view
        for metric in main.index
        for view in seen
        if view[:3] == (metric, *main.loc[metric]) and metric not in APART
    ]
    if len(criteria) > 1:
        names = [f"{words(metric)}, {prompt_type}" for metric, _, _, prompt_type in criteria]
        yield _square(correlation, criteria, names, "Metrics and prompt types")
    criterion = CRITERIA[0]
    eyes = [v for v in seen if v[0] == criterion.metric and v[3] == criterion.prompt_type]
    if len(eyes) > 1:
        names = [f"{encoder}, {resize}" for _, encoder, resize, _ in eyes]
        yield _square(correlation, eyes, names, f"Encoders, for {words(criterion.metric)}")


def _square(
    correlation: pd.DataFrame, views: list[tuple[str, ...]], names: list[str], heading: str
) -> Figure:
    sides = [[f"{name}_{side}" for name in VIEW] for side in "ab"]
    cells = zip(*(correlation[name] for name in (*sides[0], *sides[1])), strict=True)
    r = dict(zip(cells, correlation["r"], strict=True))
    matrix = pd.DataFrame(
        [[r.get((*a, *b), float("nan")) for b in views] for a in views], index=names, columns=names
    )
    return Figure(
        heatmap(matrix, heading), f"Heatmap of correlations. {heading}: {', '.join(names)}"
    )
