"""How a metric's value moves with training, or with strength, between floor and ceiling."""

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
from lycoris_bench.study.records import BASE, REAL

NAMED = 8  # so many configurations are all named; of more, the highest and the lowest


def curves(
    checkpoints: pd.DataFrame,
    references: pd.DataFrame,
    factors: pd.DataFrame,
    axis: tuple[str, str],
    along: str = "epoch",
) -> bytes | None:
    """The value of every checkpoint over epochs, or strengths: a line a series, over strengths a
    configuration (the mean over its seeds), a dot a checkpoint, base dotted, real images dashed.
    What has no epoch, as it was trained elsewhere, is a level line.

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
        if len(ends) > NAMED:
            ends = [min(ends), max(ends)]
            for name in lines.keys() - {name for _, _, name, _ in ends}:
                lines[name].set(lw=0.9, alpha=0.4)
        _names(axes, ends, beside, right)
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


def _names(
    axes: Axes,
    ends: list[tuple[float, float, str, str]],
    beside: list[tuple[float, str]],
    right: float,
) -> None:
    """Names at the right, in their colours, moved apart; the axes makes room for them."""
    wanted = [(y, name, colour) for y, _, name, colour in ends]
    wanted += [(y, label, INK) for y, label in beside]
    low, high = axes.get_ylim()
    heights = spread([y for y, _, _ in wanted], (high - low) * 0.052)
    for (_, name, colour), y in zip(wanted, heights, strict=True):
        axes.annotate(
            label(name), (1, y), (4, 0), xycoords=axes.get_yaxis_transform(),
            textcoords="offset points", color=colour, size=7.5, va="center",
        )  # fmt: skip
    axes.set_xlim(right=right)
