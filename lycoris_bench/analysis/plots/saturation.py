"""How the order of configurations settles, and the smallest difference falls, with images, seeds
and classes."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from lycoris_bench.analysis.columns import CRITERIA
from lycoris_bench.analysis.enough.curves import Point
from lycoris_bench.analysis.plots.canvas import FAINT, colours, empty, heading, key, to_svg

Curves = Mapping[str, Mapping[str, Sequence[Point]]]  # criterion -> what varies -> its points
ROWS = {
    "tau": "order as of all (Kendall’s tau)",
    "tau_true": "order as in truth (tau)",
    "difference": "smallest difference",
}
SIDE, LEFT, TOP, BELOW = 2.3, 0.7, 0.75, 0.5  # inches


def saturation(curves: Curves) -> bytes:
    """A column for each of images, seeds and classes that varies, a row for each quantity that is
    known, a line with its interval a criterion. What is foretold has no mark."""
    names = [c.key for c in CRITERIA if c.key in curves]
    ink = colours(names)
    axes = [a for a in ("images", "seeds", "classes") if any(len(curves[n][a]) > 1 for n in names)]
    rows = [name for name in ROWS if any(_known(curves[n], name) for n in names)]
    width, height = (SIDE + LEFT) * len(axes), (SIDE + BELOW) * len(rows) + TOP
    with empty(width, height) as made:
        heading(made, "How much is enough")
        for i, row in enumerate(rows):
            for j, axis in enumerate(axes):
                left, top = (SIDE + LEFT) * j + LEFT, TOP + (SIDE + BELOW) * i
                place = left / width, 1 - (top + SIDE) / height
                panel = made.add_axes((*place, (SIDE - 0.1) / width, SIDE / height))
                for name in names:
                    _line(panel, curves[name][axis], row, ink[name])
                _frame(panel, axis, ROWS[row] if j == 0 else "")
        key(made.axes[0], ink)
        return to_svg(made)


def _known(curves: Mapping[str, Sequence[Point]], row: str) -> bool:
    points = [point for points in curves.values() for point in points]
    return any(not np.isnan(getattr(point, row).value) for point in points)


def _line(panel: Axes, points: Sequence[Point], row: str, colour: str) -> None:
    shown = [p for p in points if getattr(p, row).value <= 1]  # neither unknown nor out of reach
    if shown:
        counts, numbers = [p.count for p in shown], [getattr(p, row) for p in shown]
        measured = [k for k, p in enumerate(shown) if not np.isnan(p.tau.value)]
        panel.plot(
            counts, [n.value for n in numbers], color=colour, lw=1.4, marker="o", ms=3,
            markevery=measured,
        )  # fmt: skip
        panel.fill_between(
            counts, [n.low for n in numbers], [n.high for n in numbers], color=colour, alpha=0.12,
            lw=0,
        )  # fmt: skip


def _frame(panel: Axes, axis: str, label: str) -> None:
    panel.set_xscale("log", base=2)
    counts = sorted({float(x) for line in panel.lines for x in np.asarray(line.get_xdata())})
    panel.set_xticks(counts, [f"{count:g}" for count in counts])
    panel.minorticks_off()
    panel.yaxis.set_major_locator(MaxNLocator(5))
    panel.set_xlabel(axis)
    panel.set_ylabel(label)
    panel.grid(axis="y", color=FAINT, lw=0.6)
