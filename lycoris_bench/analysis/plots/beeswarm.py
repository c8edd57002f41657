"""What moves a score: one row a factor, one dot a checkpoint, its SHAP value across."""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex

from lycoris_bench.analysis.columns import ordered, words
from lycoris_bench.analysis.plots.canvas import (
    FAINT,
    INK,
    PALETTE,
    RAMP,
    SOFT,
    colours,
    figure,
    heading,
    label,
    lines,
    settle,
    to_svg,
)
from lycoris_bench.messages.numbers import fixed

LABELS = {  # levels are ordered within an algorithm, whose rates and sizes are its own
    "lr_level": "learning rate (1: lowest)",
    "capacity": "capacity (1: smallest)",
    "prior_preservation": "prior preservation",
}
SHORT, VALUES = 18, 28  # characters of a value, and of a line of them
LINE = 0.12  # inches of such a line


def beeswarm(shap: pd.DataFrame, factors: pd.DataFrame) -> bytes:
    """SHAP values of one category and view (`importance.explain`), strongest factor first.

    Colour is the factor's value; the values are written under its name in their colours. Faint,
    and the axis says so, where the model does not predict configurations that it has not seen."""
    reach = shap["shap"].abs().groupby(shap["feature"]).mean().sort_values()
    metric, kind = shap["metric"].iloc[0], shap["prompt_type"].iloc[0]
    parts = {str(feature): shap[shap["feature"] == feature] for feature in reach.index}
    inks = {f: colours_of(part["feature_value"], f, factors) for f, part in parts.items()}
    most = max(len(lines([label(v, SHORT) for v in ink], VALUES)) for ink in inks.values())
    fits = shap.iloc[0]
    foretells = fits["r2_cv"] > 0
    row = 0.52 + LINE * (most - 1)  # inches
    with figure(4.0, 0.95 + row * len(reach)) as (made, axes):
        axes.axvline(0, color=SOFT, lw=0.8, zorder=1)
        for height, (feature, part) in enumerate(parts.items()):
            ink = inks[feature]
            axes.scatter(
                part["shap"], height + swarm(part["shap"].to_numpy()), s=6, lw=0, rasterized=True,
                alpha=0.85 if foretells else 0.25, zorder=3,
                c=[ink[value] for value in part["feature_value"]],
            )  # fmt: skip
            _name(axes, height, LABELS.get(feature, feature), ink, row)
        axes.set_ylim(-0.55, len(reach) - 0.4)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", color=FAINT, lw=0.6)
        heading(made, f"{words(metric)[0].upper()}{words(metric)[1:]} on {kind} prompts")
        axes.set_xlabel(
            f"effect on the score  better →\nR² {fixed(fits['r2'])}, for configurations not seen "
            f"{fixed(fits['r2_cv'])} ({fixed(fits['r2_cv_low'])} to {fixed(fits['r2_cv_high'])})"
            + (
                "" if foretells else "\nfaint: the model foretells no configuration it has not seen"
            ),
            loc="right",
        )
        settle(made)
        return to_svg(made)


def swarm(values: np.ndarray, height: float = 0.36, bins: int = 60) -> np.ndarray:
    """Vertical offsets, so that dots that share a bin lie over and under one another."""
    low, high = values.min(), values.max()
    place = np.round((values - low) / ((high - low) or 1) * bins)
    offsets = np.zeros(len(values))
    fullest = max(np.unique(place, return_counts=True)[1].max(), 8)
    for bin_ in np.unique(place):
        inside = np.flatnonzero(place == bin_)
        steps = np.arange(len(inside))
        offsets[inside] = np.ceil(steps / 2) * np.where(steps % 2, 1, -1)
    return offsets / fullest * 2 * height


def colours_of(values: pd.Series, feature: str, factors: pd.DataFrame) -> dict[str, str]:
    """A colour for each value of a factor: the algorithms' own, a ramp for numbers."""
    if feature == "algorithm":
        return colours(list(dict.fromkeys(factors["algorithm"])))
    names = ordered(factors[feature].astype(str)) if feature in factors else ordered(values)
    names = [name for name in names if name in set(values)]
    try:
        numbers = sorted(set(values), key=float)
    except ValueError:
        return dict(zip(names, cycle(PALETTE[::-1]), strict=False))
    ramp = LinearSegmentedColormap.from_list("ramp", RAMP)
    return {v: to_hex(ramp(k / max(len(numbers) - 1, 1))) for k, v in enumerate(numbers)}


def _name(axes: Axes, height: float, what: str, ink: dict[str, str], row: float) -> None:
    """The factor's name at the left, and under it its values in their colours; `row`: inches of
    a factor."""
    transform = axes.get_yaxis_transform()
    top = height + 0.07 / row
    axes.text(-0.04, top, label(what), transform=transform, ha="right", color=INK, size=9)
    colours = {label(value, SHORT): colour for value, colour in ink.items()}
    for k, line in enumerate(lines(list(colours), VALUES), start=1):
        place = (-0.04, top - (0.06 + LINE * k) / row)
        text = axes.annotate(" ", place, xycoords=transform, ha="right", size=7)
        for value in reversed(line):
            text = axes.annotate(
                value, xy=(0, 0), xycoords=text, xytext=(-3, 0), textcoords="offset points",
                ha="right", va="bottom", color=colours[value], size=7, weight="bold",
            )  # fmt: skip
