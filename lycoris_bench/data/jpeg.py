"""Detects a JPEG whose pixels end before its end mark, which PIL does not report."""

from collections.abc import Callable

from PIL import Image, ImageChops

_END = b"\xff\xd9"
_OTHER_PIXELS = b"\x55\xaa\x5a\x3c" * 64


def ends_early(image: Image.Image, data: bytes, opened: Callable[[bytes], Image.Image]) -> bool:
    """Whether pixels of a JPEG that was loaded are missing. The decoder makes up what it lacks, in
    grey, and tells nobody.

    So it is asked twice: bytes before the end mark are skipped where all pixels are there, and
    become pixels where some are missing. What follows the end mark is no matter. `opened` opens the
    bytes of a picture."""
    end = data.rfind(_END)
    longer = data[:end] + _OTHER_PIXELS + data[end:]
    with opened(longer) as other:
        other.load()
        return ImageChops.difference(image, other).getbbox(alpha_only=False) is not None
