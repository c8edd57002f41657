"""Numbers with their intervals, a line each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lycoris_bench.analysis.plots.canvas import (
    FAINT,
    PALETTE,
    SOFT,
    colours,
    figure,
    heading,
    key,
    label,
    settle,
    to_svg,
)


@dataclass(frozen=True)
class Line:
    """A number of a kind, with the ends of its interval. Its name may have two lines."""

    name: str
    kind: str
    value: float
    low: float
    high: float


def whiskers(lines: Sequence[Line], title: str, axis: str) -> bytes:
    """The lines in their order from the top; those of one name together, a colour a kind."""
    names = list(dict.fromkeys(line.name for line in lines))
    kinds = list(dict.fromkeys(line.kind for line in lines))
    ink = colours(kinds) if len(kinds) > 1 else {kinds[0]: PALETTE[0]}
    with figure(4.4, 1.3 + 0.2 * len(lines) + 0.12 * len(names)) as (made, axes):
        place, places = 0.0, {}
        for name in names:
            own = [line for line in lines if line.name == name]
            places[name] = place + (len(own) - 1) / 2
            for line in own:
                colour = ink[line.kind]
                if np.isfinite([line.low, line.high]).all():
                    axes.plot([line.low, line.high], [place, place], color=colour, lw=1.4)
                axes.plot([line.value], [place], "o", color=colour, ms=4.5)
                place += 1
            place += 0.6
        axes.set_ylim(place - 0.4, -0.8)
        axes.set_yticks(
            list(places.values()),
            ["\n".join(map(label, name.split("\n"))) for name in places],
            size=7.5,
        )
        axes.tick_params(axis="y", length=0, labelcolor=SOFT)
        axes.axvline(0, color=FAINT, lw=0.8, zorder=0)
        axes.set_xlim(min(-0.2, *(line.low for line in lines if np.isfinite(line.low)), 0), 1.02)
        axes.grid(axis="x", color=FAINT, lw=0.6)
        axes.set_xlabel(axis)
        heading(made, title)
        key(axes, ink)
        settle(made)
        return to_svg(made)
