"""Resizes an image of any shape to an encoder's input, in one of four ways:

    scale      short side to `size`, aspect kept: nothing lost, the shape varies
    letterbox  long side to `size`, black bars around it: nothing lost but resolution
    crop       short side to `size`, then the centre square: the edges are lost
    stretch    both sides to `size`: the aspect is lost

All resample with PIL, bicubic and antialiased; on CUDA `exact_resize` gives the same bytes. A side
is rounded as torchvision's `Resize` does (down) for scale and crop, so that features equal those of
open_clip's own preprocessing, and to the nearest for letterbox, as in open_clip's.
"""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from PIL import Image

from lycoris_bench.messages.errors import BenchError

Made = TypeVar("Made")
LONGEST = 64  # times the short side: beyond it, an aspect-keeping resize needs gigabytes


def _resampled(image: Image.Image, width: int, height: int) -> Image.Image:
    return image.resize((width, height), Image.Resampling.BICUBIC)


def scaled(width: int, height: int, size: int) -> tuple[int, int]:
    """Width and height once the short side is `size`."""
    short, long = min(width, height), max(width, height)
    if long > LONGEST * short:
        raise BenchError(
            f"an image of {width}x{height} is over {LONGEST} times as long as wide: "
            "use letterbox or stretch, or leave it out"
        )
    return size * width // short, size * height // short


def inside(width: int, height: int, size: int) -> tuple[int, int]:
    """Width and height once the long side is `size`."""
    long = max(width, height)
    return max(1, round(size * width / long)), max(1, round(size * height / long))


def scale(image: Image.Image, size: int) -> Image.Image:
    """The short side becomes `size`."""
    return _resampled(image, *scaled(*image.size, size))


def letterbox(image: Image.Image, size: int) -> Image.Image:
    """The long side becomes `size`, centred on a black square; an odd bar is on the far side."""
    width, height = inside(*image.size, size)
    square = Image.new("RGB", (size, size))
    square.paste(_resampled(image, width, height), ((size - width) // 2, (size - height) // 2))
    return square


def crop(image: Image.Image, size: int) -> Image.Image:
    """The centre square of the image whose short side is `size`."""
    scaled = scale(image, size)
    left, top = (round((side - size) / 2) for side in scaled.size)
    return scaled.crop((left, top, left + size, top + size))


def stretch(image: Image.Image, size: int) -> Image.Image:
    """Both sides become `size`."""
    return _resampled(image, size, size)


RESIZINGS: dict[str, Callable[[Image.Image, int], Image.Image]] = {
    "scale": scale,
    "letterbox": letterbox,
    "crop": crop,
    "stretch": stretch,
}
SQUARE = ("letterbox", "crop", "stretch")  # for networks whose input has one shape


def resized(image: Image.Image, mode: str, size: int) -> Image.Image:
    """The image resized. BenchError: it is not RGB."""
    return RESIZINGS[mode](rgb(image), size)


def rgb(image: Image.Image) -> Image.Image:
    """The same image. BenchError: it is not RGB.

    The reader of the file decides how an alpha channel or 16 bits look, so that all encoders see
    the same picture."""
    if image.mode != "RGB":
        raise BenchError(f"an encoder was given an image of mode {image.mode}; convert it to RGB")
    return image


class Picture:
    """An image that several encoders prepare: what several of them need is made once."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self._made: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` gives the first time; it is shared and must not be written to."""
        if key not in self._made:
            self._made[key] = make()
        made: Made = self._made[key]
        return made

    def resized(self, mode: str, size: int) -> Image.Image:
        """As `resized`. A square image looks the same by every mode."""
        mode = "stretch" if self.image.width == self.image.height else mode
        return self.once((mode, size), lambda: resized(self.image, mode, size))
