"""Resizes an image of any shape to an encoder's input, in one of four ways:

    scale      short side to `size`, aspect kept: nothing lost, the shape varies
    letterbox  long side to `size`, black bars around it: nothing lost but resolution
    crop       short side to `size`, then the centre square: the edges are lost
    stretch    both sides to `size`: the aspect is lost

All resample with PIL, bicubic and antialiased, on the CPU. A side is rounded as torchvision's
`Resize` does (down) for scale and crop, so that features equal those of open_clip's own
preprocessing, and to the nearest for letterbox, as in open_clip's.
"""

from collections.abc import Callable

from PIL import Image

from lycoris_bench.messages.errors import BenchError

LONGEST = 64  # times the short side: beyond it, an aspect-keeping resize needs gigabytes


def _resampled(image: Image.Image, width: int, height: int) -> Image.Image:
    return image.resize((width, height), Image.Resampling.BICUBIC)


def scale(image: Image.Image, size: int) -> Image.Image:
    """The short side becomes `size`."""
    width, height = image.size
    short, long = min(image.size), max(image.size)
    if long > LONGEST * short:
        raise BenchError(
            f"an image of {width}x{height} is over {LONGEST} times as long as wide: "
            "use letterbox or stretch, or leave it out"
        )
    return _resampled(image, size * width // short, size * height // short)


def letterbox(image: Image.Image, size: int) -> Image.Image:
    """The long side becomes `size`, centred on a black square; an odd bar is on the far side."""
    long = max(image.size)
    width, height = (max(1, round(size * side / long)) for side in image.size)
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
    """The image resized. BenchError: it is not RGB.

    The reader of the file decides how an alpha channel or 16 bits look, so that all encoders see
    the same picture."""
    if image.mode != "RGB":
        raise BenchError(f"an encoder was given an image of mode {image.mode}; convert it to RGB")
    return RESIZINGS[mode](image, size)


class Picture:
    """An image that several encoders prepare: each resizing of it is made once."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self._made: dict[tuple[str, int], Image.Image] = {}

    def resized(self, mode: str, size: int) -> Image.Image:
        """As `resized`; the result is shared between encoders and must not be written to."""
        if (mode, size) not in self._made:
            self._made[mode, size] = resized(self.image, mode, size)
        return self._made[mode, size]
