"""How a metric's value moves with training, or with strength, between floor and ceiling."""

from collections.abc import Collection, Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from lycoris_bench.analysis.columns import SERIES, words
from lycoris_bench.analysis.plots.canvas import (
    FAINT,
    INK,
    SOFT,
    colours,
    figure,
    heading,
    key,
    label,
    settle,
    to_svg,
)
from lycoris_bench.analysis.plots.labels import spread
from lycoris_bench.analysis.plots.scatter import numbers
from lycoris_bench.study.records import BASE, REAL

NAMED = 8  # so many configurations are all named; of more the highest and the lowest are
NUMBERED = 30  # so many have their numbers then, which stand for names as in the trade-offs
LARGE, SMALL = (7.5, 0.052), (6.0, 0.034)  # points of names, and their height as a share of axes'
LED = 1.06  # where a small text stands, in widths of the axes: a line leads to it


def curves(
    checkpoints: pd.DataFrame,
    references: pd.DataFrame,
    factors: pd.DataFrame,
    axis: tuple[str, str],
    along: str = "epoch",
) -> bytes | None:
    """The value of every checkpoint over epochs, or strengths: a line a series, over strengths a
    configuration (the mean over its seeds), a dot a checkpoint, base dotted, real images dashed.
    What has no epoch, as it was trained elsewhere, is a level line. Names stand at the ends of
    lines, or numbers where there are many.

    checkpoints, references: one category, main views. None: fewer than two epochs."""
    metric, kind = axis
    rows = _only(checkpoints, metric, kind).astype({along: "float64"})
    if rows[along].nunique() < 2:
        return None
    ink = colours(list(dict.fromkeys(factors["algorithm"])))
    better = rows["better"].iloc[0]
    with figure() as (made, axes):
        ends, lines = [], {}
        left, right = rows[along].min(), rows[along].max()
        names = SERIES if along == "epoch" else "configuration"
        for (name, algorithm), run in rows.groupby([names, "algorithm"], sort=False):
            colour = ink.get(algorithm, SOFT)
            mean = run.groupby(along)["value"].mean()
            if mean.empty:
                mean = pd.Series(run["value"].mean(), index=[left, right])
            lines[name] = axes.plot(mean.index, mean, color=colour, lw=1.4, alpha=0.9, zorder=3)[0]
            axes.scatter(run[along], run["value"], s=7, color=colour, alpha=0.35, lw=0, zorder=2)
            ends.append((float(mean.iloc[-1]), float(mean.index[-1]), str(name), colour))
        heading(made, f"{words(metric)[0].upper()}{words(metric)[1:]} on {kind} prompts")
        axes.set_xlabel(along)
        axes.set_ylabel("value  " + ("better →" if better == "higher" else "← better"))
        axes.grid(axis="y", color=FAINT, lw=0.6)
        axes.set_xticks(sorted(rows[along].dropna().unique()))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        beside = _references(axes, _only(references, metric, kind))
        key(axes, {name: c for name, c in ink.items() if name in set(rows["algorithm"])})
        outer = {min(ends)[2], max(ends)[2]} if len(ends) > NAMED else lines.keys()
        for name in lines.keys() - outer:
            lines[name].set(lw=0.9, alpha=0.55)
        _names(axes, _written(ends, outer, numbers(factors)), beside, right)
        settle(made)
        return to_svg(made)


def _only(frame: pd.DataFrame, metric: str, kind: str) -> pd.DataFrame:
    return frame[(frame["metric"] == metric) & (frame["prompt_type"] == kind)]


def _references(axes: Axes, rows: pd.DataFrame) -> list[tuple[float, str]]:
    lines = {BASE: ("base", (0, (1, 2))), REAL: ("real images", (0, (4, 3)))}
    drawn = []
    for row in rows.itertuples():
        label, dashes = lines[row.configuration]
        axes.axhline(row.value, color=INK, lw=0.9, ls=dashes, zorder=1)
        drawn.append((float(row.value), label))
    return drawn


def _written(
    ends: list[tuple[float, float, str, str]], named: Collection[str], number: Mapping[str, int]
) -> list[tuple[float, str, str]]:
    """What stands at the ends of lines: height, text and colour."""
    numbered = len(ends) <= NUMBERED
    return [
        (y, f"{number[name]} {label(name)}" if number and name in named and numbered
         else label(name) if name in named else str(number[name]), colour)
        for y, _, name, colour in ends
        if name in named or (numbered and name in number)
    ]  # fmt: skip


def _names(
    axes: Axes, ends: list[tuple[float, str, str]], beside: list[tuple[float, str]], right: float
) -> None:
    """Texts at the right, in their colours, moved apart; the axes makes room for them."""
    wanted = [*ends, *((y, name, INK) for y, name in beside)]
    size, gap = LARGE if len(wanted) <= NAMED + 2 else SMALL
    low, high = axes.get_ylim()
    heights = spread([y for y, _, _ in wanted], (high - low) * gap)
    across, edge = axes.get_yaxis_transform(), 1.0 if size == LARGE[0] else LED
    for (end, text, colour), y in zip(wanted, heights, strict=True):
        if edge > 1:  # it stands far from its line
            axes.plot([1, edge], [end, y], color=colour, lw=0.4, transform=across, clip_on=False)
        axes.annotate(
            text, (edge, y), (2 if edge > 1 else 4, 0), xycoords=across,
            textcoords="offset points", color=colour, size=size, va="center",
        )  # fmt: skip
    axes.set_xlim(right=right)
