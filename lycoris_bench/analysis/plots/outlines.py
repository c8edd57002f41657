"""Figures to SVG with texts as outlines. Figures of a page have most of their words in common: how
wide a text is and where its letters stand is found once for all of them."""

from collections.abc import Hashable
from functools import cache, lru_cache
from typing import Any, TextIO

from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

KNOWN = 4096  # texts that are remembered
NOTHING = dict.fromkeys(("Date", "Creator", "Format", "Type"))


class Measured(FigureCanvasAgg):
    """A canvas that nothing is drawn on: layouts measure texts with its renderer, which remembers
    them as long as it lives, so all figures have the same."""

    def get_renderer(self) -> RendererAgg:
        return _renderer(self.figure.dpi)


@cache
def _renderer(dpi: float) -> RendererAgg:
    return RendererAgg(1, 1, dpi)


class Outlines(TextToPath):
    """Texts as outlines of letters, remembered."""

    def __init__(self) -> None:
        super().__init__()
        self._width = lru_cache(KNOWN)(super().get_text_width_height_descent)
        self._glyphs: dict[Hashable, Any] = {}

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: Any
    ) -> tuple[float, float, float]:
        return self._width(s, prop.copy(), ismath)  # a copy: it can change, and its hash with it

    def get_glyphs_with_font(
        self,
        font: Any,
        s: str,
        glyph_map: Any = None,
        return_new_glyphs_only: bool = False,
        **named: Any,
    ) -> Any:
        """As of the base class, with all glyphs of the text that `glyph_map` lacks."""
        if any(named.values()) or not return_new_glyphs_only:
            return super().get_glyphs_with_font(font, s, glyph_map, return_new_glyphs_only, **named)
        if (font.fname, s) not in self._glyphs:
            self._glyphs[font.fname, s] = super().get_glyphs_with_font(font, s)
        places, glyphs, rects = self._glyphs[font.fname, s]
        new = {name: path for name, path in glyphs.items() if name not in glyph_map}
        return places, new, rects


OUTLINES = Outlines()


def draw(made: Figure, file: TextIO) -> None:
    """Writes the figure as `savefig` would, which draws everything twice, as its format might need
    the layout beforehand."""
    raster, made.dpi = made.dpi, 72
    width, height = made.get_size_inches()
    renderer = RendererSVG(72 * width, 72 * height, file, image_dpi=raster, metadata=NOTHING)
    renderer._text2path = OUTLINES
    mixed: Any = MixedModeRenderer(made, width, height, raster, renderer)
    made.draw(mixed)
    mixed.finalize()
