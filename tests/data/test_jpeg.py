"""JPEGs of every kind that end early, with their end mark in place, are refused; whole ones not."""

import io

import numpy as np
import pytest
from PIL import Image

from lycoris_bench.data.images import check

KINDS = [
    {}, {"progressive": True}, {"quality": 100, "subsampling": 0}, {"quality": 5},
    {"optimize": True}, {"restart_marker_rows": 1}, {"progressive": True, "quality": 10},
]  # fmt: skip


def jpeg(mode: str, size: tuple[int, int], options: dict) -> bytes:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (size[1], size[0], len(mode)), np.uint8)
    made = io.BytesIO()
    Image.frombytes(mode, size, pixels.tobytes()).save(made, "JPEG", **options)
    return made.getvalue()


@pytest.mark.parametrize("options", KINDS, ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("size", [(1, 1), (40, 24), (33, 17)])
def test_a_whole_jpeg_is_read_whatever_follows_it(mode, size, options) -> None:
    data = jpeg(mode, size, options)
    for after in (b"", b"\0" * 9, b"of another file", jpeg("RGB", (9, 9), {})):
        assert check(data + after) == size


@pytest.mark.parametrize("options", KINDS, ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("share", [0.6, 0.8, 0.95])
def test_a_jpeg_without_its_last_pixels_is_refused(mode, options, share) -> None:
    data = jpeg(mode, (64, 64), options)
    pixels = data.rfind(b"\xff\xda")  # where the last scan begins
    cut = data[: pixels + 14 + int((len(data) - pixels - 16) * share)].rstrip(b"\xff") + b"\xff\xd9"
    said = "the image is cut short: pixels are missing before its end mark"
    assert check(cut) == said
