"""Reading pictures of any kind as 8-bit RGB, the way a viewer shows them."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from lycoris_bench.errors import BenchError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


class DataError(BenchError):
    """What is wrong with the data: one sentence a problem, all of them in `problems`."""

    shown = 20  # of 500 missing captions the first few say enough

    def __init__(self, source: str, problems: list[str]) -> None:
        super().__init__(source, problems)  # both, so that it survives the way out of a worker
        self.source, self.problems = source, problems

    def __str__(self) -> str:
        rest = len(self.problems) - self.shown
        shown = [*self.problems[: self.shown], *([f"and {rest} more"] if rest > 0 else [])]
        return f"{self.source}: " + "; ".join(shown)


def read_image(path: str | Path) -> Image.Image:
    """The picture as RGB: turned as its EXIF orientation says, transparency on white, 16-bit grey
    scaled to 8. Raises `DataError` naming the file where it cannot be read."""
    try:
        with Image.open(path) as image:
            return _on_white(_eight_bit(ImageOps.exif_transpose(image)))
    except Exception as error:  # a broken file may raise almost anything, struct.error among it
        raise DataError(str(path), [_reason(error)]) from None


def check(data: bytes) -> tuple[int, int] | str:
    """Width and height as shown, from the header alone, or why it is no picture. Checksums are
    verified where the format has them."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            size = image.size[::-1] if turned else image.size
        with Image.open(io.BytesIO(data)) as image:  # reading EXIF uses up the right to verify
            image.verify()
        return size
    except Exception as error:
        return _reason(error)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such image"
    if isinstance(error, PermissionError | IsADirectoryError):
        return f"the image cannot be read ({error.strerror})"
    if "cannot identify image file" in str(error):
        return "the file is not an image, or its header is corrupt"
    return f"the image is corrupt ({error})"


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits: 65535 is white. PIL's own conversion clips at 255 instead."""
    if not image.mode.startswith("I"):
        return image
    grey = np.asarray(image).clip(0, 65535).astype(np.float64) / 257
    return Image.fromarray((grey + 0.5).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    if not (image.has_transparency_data or image.mode in ("RGBa", "La")):
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
