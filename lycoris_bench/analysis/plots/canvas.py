"""What all figures share: size, ink, palette, and the way to bytes."""

import io
import re
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea, VPacker
from matplotlib.text import Text

from lycoris_bench.analysis.plots.outlines import Measured, draw
from lycoris_bench.messages.printable import printable

INK, SOFT, FAINT = "#22262b", "#6b737c", "#dfe3e7"
# Told apart by eyes with any colour vision (after Okabe and Ito), and dark enough for white digits
# in them (contrast of 4.5 and more).
PALETTE = ("#1f6fb2", "#be5608", "#108363", "#a8508e", "#946e08", "#4f5b93", "#8a4b2d", "#5f6b73")
MARKERS = ("o", "^", "s", "D", "v", "P", "X")
LONGEST = 28  # characters of a name: what fits beside a plot
WIDTH = 40  # of a line of names above one
RTL = ("R", "AL", "AN")  # set from right to left
MARGIN = 6.0  # pixels, of which an inch has 100: outlines are a little wider than measured
RAMP = ("#8fb6dc", "#4585c0", "#123f6b")  # few to many
NUMBERS = re.compile(r'(?<= )(?:(d)|x|y)="[^"]*"|translate\([^)]*\)')
LETTER = re.compile(r'(?<= )(d="[^"]*")( transform="scale\()0\.015625(?=\))')
SET = re.compile(r'(?<=" )transform="translate\(([-\d.]+) 0\)"(?=/>)')
ONE_TENTH = "0.15625"
_STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same picture everywhere
    "font.size": 9,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": SOFT,
    "axes.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a name does not begin a formula
    "svg.hashsalt": "lycoris-bench",
}


@contextmanager
def figure(width: float = 4.0, height: float = 3.5) -> Iterator[tuple[Figure, Axes]]:
    """A figure with one axes. It is known to nobody else, so nothing has to be closed."""
    with empty(width, height) as made:
        yield made, made.add_subplot()


@contextmanager
def empty(width: float, height: float) -> Iterator[Figure]:
    """A figure to put axes in, in inches."""
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # Its size is guessed then; `to_svg` leaves the drawing to the reader's own fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        made = Figure(figsize=(width, height))
        Measured(made)
        yield made


def settle(made: Figure) -> None:
    """Gives the axes all room that its labels and the heading leave, in one pass.

    Where labels end is measured once: matplotlib's own layouts measure at every drawing, which
    took most of the time of a picture."""
    (axes,) = made.axes
    frame, outer = axes.get_window_extent(), axes.get_tightbbox()
    assert outer is not None
    width, height = made.bbox.width, made.bbox.height
    left, bottom = frame.x0 - outer.x0 + MARGIN, frame.y0 - outer.y0 + MARGIN
    right, top = outer.x1 - frame.x1 + MARGIN, outer.y1 - frame.y1 + MARGIN
    top += sum(text.get_window_extent().height + MARGIN for text in made.texts)
    inside = max(width - left - right, 1) / width, max(height - bottom - top, 1) / height
    axes.set_position((left / width, bottom / height, *inside))


def to_svg(made: Figure) -> bytes:
    """The same figure gives the same bytes: no date, no random ids. Its ground is the page's.

    Words are outlines, alike everywhere; where matplotlib's font lacks a character, or cannot set
    it from right to left, the words of that figure are text, which a browser sets."""
    buffer = io.StringIO()
    outlines = all(drawable(text.get_text()) for text in made.findobj(Text))
    for patch in (made.patch, *(axes.patch for axes in made.axes)):
        patch.set_facecolor("none")
    made.dpi = 150  # of what is a raster, as the cells of a heatmap
    with matplotlib.rc_context({**_STYLE, "svg.fonttype": "path" if outlines else "none"}):
        draw(made, buffer)
    return lean(buffer.getvalue()).encode()


def lean(svg: str) -> str:
    """Two decimals are a hundredth of a point, and enough; scales keep theirs.

    >>> lean('<path d="M 1.234567 2 \\nL 3.5 0.004999 \\nz " transform="translate(0.12345 7)"/>')
    '<path d="M1.23 2L3.5 0.00z" transform="translate(0.12 7)"/>'

    Letters are in 64ths of a hundredth of their height, of which a tenth is as much.

    >>> lean('<path d="M 603 4863 \\nL 1178 -4863 \\n" transform="scale(0.015625)"/>')
    '<path d="M60 486L118 -486" transform="scale(0.15625)"/>'
    >>> lean('<use xlink:href="#DejaVuSans-4f" transform="translate(61.279297 0)"/>')
    '<use href="#DejaVuSans-4f" x="61.27"/>'
    """
    body = svg[svg.index("<svg") :] if "<svg" in svg else svg
    return re.sub(r"\n\s*", " ", re.sub(r"<\w[^<>]*>", _lean_tag, body))


def _lean_tag(match: re.Match[str]) -> str:
    tag = NUMBERS.sub(_shorter, match.group())
    tag = LETTER.sub(lambda of: re.sub(r"-?\d+", _tenth, of[1]) + of[2] + ONE_TENTH, tag)
    return SET.sub(r'x="\1"', tag).replace(" xlink:href=", " href=")


def _shorter(match: re.Match[str]) -> str:
    """What holds coordinates, with two decimals of each."""
    text = re.sub(r"(\d\.\d\d)\d+", r"\1", match.group())
    return re.sub(r'\s*([A-Za-z])\s*|\s+(?="$)', r"\1", text) if match[1] else text


def _tenth(number: re.Match[str]) -> str:
    return f"{int(number[0]) / 10:.0f}"


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each algorithm, in the study's order."""
    return dict(zip(names, cycle(PALETTE), strict=False))


def markers(names: Sequence[str]) -> dict[str, str]:
    """A mark for each preset, in the study's order."""
    return dict(zip(names, cycle(MARKERS), strict=False))


def drawable(text: str) -> bool:
    """Whether matplotlib's own font has every character, and sets it in order.

    >>> drawable("naïve ×2"), drawable("العربية"), drawable("雪")
    (True, False, False)
    """
    font = get_font(findfont("DejaVu Sans"))
    return all(
        character.isspace()
        or (font.get_char_index(ord(character)) and unicodedata.bidirectional(character) not in RTL)
        for character in text
    )


def label(name: object, longest: int = LONGEST) -> str:
    """A name as it is, on one line; of a long one the two ends.

    >>> label("$x$ a_b^c"), label("a" * 30 + "b" * 30)
    ('$x$ a_b^c', 'aaaaaaaaaaaaaaa…bbbbbbbbbbbb')
    """
    text = printable(name, longest=1000)
    end = (longest - 1) * 4 // 9
    return text if len(text) <= longest else f"{text[: longest - 1 - end]}…{text[-end:]}"


def lines(names: Sequence[str], width: int) -> list[list[str]]:
    """The names in lines of at most so many characters, at least one in each.

    >>> lines(["lora", "loha", "lokr"], 10)
    [['lora', 'loha'], ['lokr']]
    """
    made: list[list[str]] = [[]]
    for name in names:
        if made[-1] and sum(len(one) + 1 for one in made[-1]) + len(name) > width:
            made.append([])
        made[-1].append(name)
    return made


def heading(made: Figure, text: str) -> None:
    """The title, at the figure's left edge, where the longest ones have room."""
    top = 1 - MARGIN / made.bbox.height
    made.text(0.008, top, text, ha="left", va="top", size=10, weight="bold", color=INK)


def key(axes: Axes, names: dict[str, str]) -> None:
    """The legend: names written in their colours, above the axes."""
    ink = {label(name): colour for name, colour in names.items()}
    rows: list[Any] = [
        HPacker(
            children=[
                TextArea(name, textprops={"color": ink[name], "size": 8.5, "weight": "bold"})
                for name in line
            ],
            pad=0, sep=8,
        )
        for line in lines(list(ink), WIDTH)
    ]  # fmt: skip
    box = AnchoredOffsetbox(
        "lower left", child=VPacker(children=rows, pad=0, sep=2), pad=0, borderpad=0,
        frameon=False, bbox_to_anchor=(0, 1.03), bbox_transform=axes.transAxes,
    )  # fmt: skip
    axes.add_artist(box)


def ground() -> dict[str, Any]:
    """What lies behind a name that crosses a line: the page's colour, nearly opaque."""
    return {"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
