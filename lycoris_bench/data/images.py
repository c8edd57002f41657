"""Reading pictures of any kind as 8-bit RGB, the way a viewer shows them.

One function decodes, so that what a scan accepts is what training and scoring read. Colour profiles
and gamma are not applied: neither do the trainers, nor the encoders' own loaders."""

import contextlib
import io
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from lycoris_bench.data import jpeg, png
from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
NOT_READ = frozenset((
    ".gif", ".avif", ".jfif", ".jpe", ".jp2", ".jxl", ".heic", ".heif", ".apng", ".mpo", ".dib",
    ".tga", ".psd", ".svg", ".ico", ".ppm", ".pgm", ".pnm", ".exr", ".hdr", ".dng", ".cr2", ".cr3",
    ".nef", ".arw", ".raw", ".eps",
))  # fmt: skip
"""Suffixes of pictures that are not read: a dataset that holds one is told so."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_ORIENTATION, _BITS, _PHOTOMETRIC, _SAMPLES = 274, 258, 262, 339  # tags of EXIF and TIFF
_quietly = threading.Lock()  # filters of warnings belong to all threads


class DataError(BenchError):
    """The data are faulty; `problems` has a sentence for each fault."""

    shown = 20  # of 500 missing captions the first few say enough

    def __init__(self, source: str, problems: list[str]) -> None:
        super().__init__(source, problems)  # both, so that it survives the way out of a worker
        self.source, self.problems = source, problems

    def __str__(self) -> str:
        rest = len(self.problems) - self.shown
        shown = [*self.problems[: self.shown], *([f"and {rest} more"] if rest > 0 else [])]
        return f"{self.source}: " + "; ".join(shown)


class _Unreadable(BenchError):
    """An intact picture that is not read, with the reason."""


def read_image(path: str | Path) -> Image.Image:
    """The picture as RGB: turned as its orientation says, transparency on white, more than 8 bits
    scaled to 8, the first of several frames. Raises `DataError` naming the file."""
    try:
        return decode(disk.read_bytes(path))
    except disk.NoSuchFile:
        raise DataError(str(path), ["there is no such image"]) from None
    except disk.FileError as error:
        reason = str(error).removeprefix(f"{path} ")
        raise DataError(str(path), [f"the image {reason}"]) from None
    except Exception as error:  # a broken file may raise almost anything, struct.error among it
        raise DataError(str(path), [_reason(error)]) from None


def check(data: bytes) -> tuple[int, int] | str:
    """Width and height as shown, or the reason why the bytes are no picture. Decodes them whole."""
    try:
        return decode(data).size
    except Exception as error:
        return _reason(error)


def decode(data: bytes) -> Image.Image:
    """The picture in the bytes of a file, as `read_image` gives it. Raises errors of any kind."""
    if not data:
        raise _Unreadable("the file is empty")
    with _opened(data) as image:
        image.load()
        picture = image
        if image.format == "PNG":
            if png.ends_early(image, data):
                raise _Unreadable(
                    "the image is cut short: it has fewer pixels than its header says"
                )
            picture = png.key_on_white(image, data)
        elif image.format == "JPEG" and jpeg.ends_early(image, data, _opened):
            raise _Unreadable("the image is cut short: pixels are missing before its end mark")
        shown = _on_white(_eight_bit(picture))
        # Only now: of a TIFF the library has already turned the pixels, and says so after loading.
        turn = _TURNS.get(_orientation(image))
    return shown if turn is None else shown.transpose(turn)


def _opened(data: bytes) -> Image.Image:
    """The file with its header read, and its checksums verified where the format has them."""
    with _quietly, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd tags, and of sizes that are still allowed
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        except UnidentifiedImageError:
            raise _Unreadable(_kind(data)) from None
        if image.format == "PNG":
            Image.open(io.BytesIO(data), formats=FORMATS).verify()  # which uses it up
        if "exif" in image.info:
            _orientation(image)  # reads it once, with its warnings
    return image


def _kind(data: bytes) -> str:
    """The reason why the file is of no supported format."""
    with contextlib.suppress(Exception):
        other = Image.open(io.BytesIO(data)).format
        if other not in FORMATS:
            return f"it is a {other} picture; {', '.join(FORMATS)} are read"
    has_mark = data.startswith((b"II*\0", b"MM\0*", b"\xff\xd8", b"\x89PNG", b"RIFF", b"BM"))
    if has_mark:
        return "the image is cut short, corrupt, or of a kind that is not read"
    return "the file is not an image, or its header is corrupt"


def _orientation(image: Image.Image) -> Any:
    """The orientation that EXIF or XMP states; None where they are broken, as in a viewer."""
    with contextlib.suppress(Exception):
        return image.getexif().get(_ORIENTATION)


def _reason(error: Exception) -> str:
    if isinstance(error, _Unreadable):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        return f"the image is over {most} million pixels large; make it smaller"
    return f"the image is corrupt ({' '.join(str(error).split()) or type(error).__name__})"


def _eight_bit(image: Image.Image) -> Image.Image:
    """A grey picture of more than 8 bits, scaled to 8 bits: the largest number is white, and 1 for
    floating-point numbers. PIL's own conversion clips at 255 instead."""
    if image.mode == "F":
        grey, white, inverted = np.asarray(image, np.float64), 1.0, False
        if not (np.isfinite(grey).all() and grey.min() >= 0 and grey.max() <= 1):
            raise _Unreadable(
                "its floating-point numbers are not all in 0..1, so white is not known; "
                "save it with 8 or 16 bits a channel"
            )
    elif image.mode.startswith("I"):
        tags: Any = getattr(image, "tag_v2", {})
        bits, signed = tags.get(_BITS, (16,))[0], tags.get(_SAMPLES, (1,))[0] == 2
        if bits > 16:
            raise _Unreadable(
                f"it has {bits}-bit integers, of which white is not known; "
                "save it with 8 or 16 bits a channel"
            )
        grey, white = np.asarray(image, np.float64), 2.0 ** (bits - signed) - 1
        inverted = tags.get(_PHOTOMETRIC) == 0
    else:
        return image
    share = grey.clip(0, white) / white
    share = 1 - share if inverted else share
    share[grey == image.info.get("transparency")] = 1
    return Image.fromarray((share * 255 + 0.5).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "LAB":
        profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, *profiles, outputMode="RGB")
        assert converted is not None  # it is not made in place
        return converted
    if not (image.has_transparency_data or image.mode in ("RGBa", "La")):
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
