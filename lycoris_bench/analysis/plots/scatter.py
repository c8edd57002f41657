"""One criterion against another (paper, Figure 2): the further up and to the right, the better."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.text import Text

from lycoris_bench.analysis.columns import SERIES, words
from lycoris_bench.analysis.plots.canvas import (
    FAINT,
    INK,
    SOFT,
    colours,
    figure,
    heading,
    key,
    markers,
    settle,
    to_svg,
)
from lycoris_bench.analysis.plots.labels import Point, place
from lycoris_bench.study.records import BASE, REAL

Axis = tuple[str, str]  # metric, prompt type
PAIRS: tuple[tuple[Axis, Axis], ...] = (
    (("text_similarity", "alter"), ("image_similarity", "alter")),
    (("vendi", "trigger"), ("centroid_distance", "trigger")),
    (("style_loss", "style"), ("image_similarity", "train")),
)
NAMED = 8  # so many series are named; of more all are numbered, and some named along the front


def scatter(
    aggregate: pd.DataFrame,
    references: pd.DataFrame,
    factors: pd.DataFrame,
    pair: tuple[Axis, Axis],
    epoch: int | None = None,
) -> bytes | None:
    """Scores of every series on two criteria at one epoch; what was trained elsewhere has no epoch
    and is always there. Bars are the paper's, naive_stderr; two-way errors are in the tables.

    aggregate, references: one category, main views. Where there are too many names for all to
    fit, marks have the numbers of the table of configurations (`numbers`). Base is a cross at its
    position, real images a dashed line at theirs. None: no checkpoint has both."""
    points = _points(aggregate, pair)
    points = points[(points["epoch"] == epoch) | points["epoch"].isna()]
    if points.empty:
        return None
    ink = colours(list(dict.fromkeys(factors["algorithm"])))
    shape = markers(list(dict.fromkeys(factors["preset"].fillna(""))))
    preset = dict(zip(factors[SERIES], factors["preset"].fillna(""), strict=True))
    points = points.assign(
        ink=[ink.get(name, SOFT) for name in points["algorithm"]],
        shape=[shape.get(preset.get(name, ""), "o") for name in points[SERIES]],
    )
    number = numbers(factors)
    ecolor: Any = list(points["ink"])  # matplotlib's types know of one colour only
    with figure() as (made, axes):
        axes.errorbar(
            points["x"], points["y"], xerr=points["x_stderr"], yerr=points["y_stderr"], fmt="none",
            ecolor=ecolor, elinewidth=0.7, alpha=0.45, zorder=3,
        )  # fmt: skip
        for mark, part in points.groupby("shape", sort=False):
            axes.scatter(
                part["x"], part["y"], s=_area(mark, bool(number)), c=list(part["ink"]), marker=mark,
                edgecolor="white", lw=0.7, zorder=5,
            )  # fmt: skip
        heading(made, f"{title(pair[1][0])} against {title(pair[0][0], first=False)}")
        _frame(axes, pair, epoch)
        cross, texts = _references(axes, references, pair)
        key(axes, {name: c for name, c in ink.items() if name in set(points["algorithm"])})
        for row in points.itertuples() if number else ():
            axes.text(
                row.x, row.y, str(number[row.series]), size=5.2, weight="bold", color="white",
                ha="center", va="center_baseline", zorder=6, in_layout=False,
            )  # fmt: skip
        settle(made)
        named = some(front(points)) if number else points
        wanted = [("base", point, INK) for point in cross]
        wanted += [(r.series, (r.x, r.y), r.ink) for r in named.itertuples()]
        place(axes, wanted, [*zip(points["x"], points["y"], strict=True), *cross], texts)
        return to_svg(made)


def numbers(factors: pd.DataFrame) -> dict[str, int]:
    """Series -> its number, which stands for its name in plots: its row in the table of
    configurations, from 1. Empty where there are so few that plots have their names."""
    names = list(factors[SERIES])
    return {name: k for k, name in enumerate(names, start=1)} if len(names) > NAMED else {}


def front(points: pd.DataFrame) -> pd.DataFrame:
    """The Pareto front: no other point is at least as good in both and better in one."""
    keep = [
        not (
            (points["x"] >= x) & (points["y"] >= y) & ((points["x"] > x) | (points["y"] > y))
        ).any()
        for x, y in zip(points["x"], points["y"], strict=True)
    ]
    return points[keep].sort_values("x")


def some(points: pd.DataFrame, count: int = 6) -> pd.DataFrame:
    """At most `count` rows, both ends first, then evenly between them."""
    steps = range(min(count, len(points)))
    chosen = [round(k * (len(points) - 1) / max(len(steps) - 1, 1)) for k in steps]
    return points.iloc[[*chosen[::-1][:1], *chosen[:-1]]]


def _points(aggregate: pd.DataFrame, pair: tuple[Axis, Axis]) -> pd.DataFrame:
    sides = [
        aggregate[(aggregate["metric"] == metric) & (aggregate["prompt_type"] == kind)][
            [SERIES, "algorithm", "epoch", "strength", "score", "score_naive_stderr"]
        ].rename(columns={"score": side, "score_naive_stderr": f"{side}_stderr"})
        for side, (metric, kind) in zip("xy", pair, strict=True)
    ]
    both = sides[0].merge(sides[1], on=[SERIES, "algorithm", "epoch", "strength"])
    return both.sort_values("epoch", kind="stable")


def _area(mark: str, numbered: bool) -> float:
    """Of a mark, in square points: a number has to fit in it, also in a triangle."""
    return (100 if mark in ("^", "v") else 62) if numbered else 38


def _frame(axes: Axes, pair: tuple[Axis, Axis], epoch: int | None) -> None:
    (x, x_kind), (y, y_kind) = pair
    axes.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    axes.grid(color=FAINT, lw=0.6)
    axes.set_xlabel(f"{title(x)} ({x_kind})  better →")
    if epoch is not None:
        axes.set_title(f"epoch {epoch}", loc="right", size=8.5, color=SOFT)
    axes.set_ylabel(f"{title(y)} ({y_kind})  better →")


def title(metric: str, first: bool = True) -> str:
    """The name of a metric's score: of a distance it is what a small distance shows."""
    name = {"style_loss": "style preservation", "centroid_distance": "centroid closeness"}
    text = name.get(metric, words(metric))
    return text[0].upper() + text[1:] if first else text


def _references(
    axes: Axes, references: pd.DataFrame, pair: tuple[Axis, Axis]
) -> tuple[list[Point], list[Text]]:
    """Draws real images' lines and the base model's cross: (where it is, what was written)."""
    at: dict[tuple[str, str], float] = {}
    for side, (metric, kind) in zip("xy", pair, strict=True):
        rows = references[(references["metric"] == metric) & (references["prompt_type"] == kind)]
        for row in rows.itertuples():
            at[row.configuration, side] = row.position
    for side, line in (("x", axes.axvline), ("y", axes.axhline)):
        if (REAL, side) in at:
            line(at[REAL, side], color=SOFT, lw=0.9, ls=(0, (4, 3)), zorder=1)
    texts: list[Text] = []
    if (REAL, "y") in at:
        texts.append(axes.annotate(
            "real images", (1.04, at[REAL, "y"]), (0, 2), textcoords="offset points",
            size=7, color=SOFT, ha="right", annotation_clip=False,
        ))  # fmt: skip
    if (BASE, "x") not in at or (BASE, "y") not in at:
        return [], texts
    cross = (at[BASE, "x"], at[BASE, "y"])
    axes.scatter(*cross, marker="x", s=45, color=INK, lw=1.6, zorder=6, clip_on=False)
    return [cross], texts
