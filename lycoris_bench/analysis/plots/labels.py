"""Names beside points, where there is room for them; what does not fit is left out."""

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from lycoris_bench.analysis.plots.canvas import ground, label

PLACES = (  # offset in points, horizontal and vertical alignment
    (7, 0, "left", "center"),
    (-7, 0, "right", "center"),
    (0, 8, "center", "bottom"),
    (0, -8, "center", "top"),
    (6, 7, "left", "bottom"),
    (-6, 7, "right", "bottom"),
    (6, -7, "left", "top"),
    (-6, -7, "right", "top"),
)
ALIGNED = {"left": 0.0, "bottom": 0.0, "center": 0.5, "right": 1.0, "top": 1.0}
Point = tuple[float, float]


def place(
    axes: Axes,
    wanted: Iterable[tuple[str, Point, str]],
    taken: Sequence[Point],
    texts: Sequence[Text] = (),
    size: float = 7.5,
) -> list[str]:
    """Writes (name, point, colour) beside each point, unless it would cover a name or a point.

    The figure is settled. `taken` are the points to keep clear of, in data units, `texts` what is
    written already. -> the names that were written."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    frame = axes.get_window_extent()
    radius = 3.5 * figure.dpi / 72
    blocked = [text.get_window_extent() for text in texts]
    for x, y in taken:
        px, py = axes.transData.transform((x, y))
        blocked.append(Bbox.from_extents(px - radius, py - radius, px + radius, py + radius))
    written = []
    for name, point, colour in wanted:
        text = axes.annotate(
            label(name), point, (0, 0), textcoords="offset points", color=colour, size=size,
            annotation_clip=False, zorder=6, bbox=ground(),
        )  # fmt: skip
        text.set_in_layout(False)
        size_of = text.get_window_extent()
        px, py = axes.transData.transform(point)
        for dx, dy, across, along in PLACES:
            left = px + dx * figure.dpi / 72 - ALIGNED[across] * size_of.width
            bottom = py + dy * figure.dpi / 72 - ALIGNED[along] * size_of.height
            box = Bbox.from_bounds(left, bottom, size_of.width, size_of.height)
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0
            if inside and box.y1 <= frame.y1 and not any(box.overlaps(other) for other in blocked):
                text.set(position=(dx, dy), ha=across, va=along)
                blocked.append(box)
                written.append(name)
                break
        else:
            text.remove()
    return written


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Heights moved apart until neighbours are at least `gap` from each other, order kept.

    >>> spread([1.0, 1.0, 5.0], 1.0)
    [0.5, 1.5, 5.0]
    """
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    groups: list[list[int]] = []
    centres: list[float] = []
    for i in order:
        groups.append([i])
        centres.append(heights[i])
        while (
            len(groups) > 1
            and _low(centres[-1], groups[-1], gap) - _high(centres[-2], groups[-2], gap)
            < gap - 1e-12
        ):
            merged = groups[-2] + groups[-1]
            groups[-2:] = [merged]
            centres[-2:] = [sum(heights[k] for k in merged) / len(merged)]
    moved = [0.0] * len(heights)
    for centre, group in zip(centres, groups, strict=True):
        for k, i in enumerate(group):
            moved[i] = centre + (k - (len(group) - 1) / 2) * gap
    return moved


def _low(centre: float, group: list[int], gap: float) -> float:
    return centre - (len(group) - 1) / 2 * gap


def _high(centre: float, group: list[int], gap: float) -> float:
    return centre + (len(group) - 1) / 2 * gap
