"""The four resizings against torchvision, a plain PIL letterbox, and pictures made by hand."""

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from lycoris_bench.scoring.encoders.resize import RESIZINGS, SQUARE, resized

SHAPES = [(640, 427), (427, 640), (100, 100), (31, 90), (90, 31), (224, 57), (64, 63), (5, 200)]
SIZES = [64, 224]
BICUBIC = InterpolationMode.BICUBIC


def plain_letterbox(image, size):
    """Written apart: resample, then copy the pixels into zeros."""
    width, height = image.size
    if width >= height:
        new = (size, max(1, round(height * size / width)))
    else:
        new = (max(1, round(width * size / height)), size)
    pixels = np.asarray(image.resize(new, Image.BICUBIC))
    square = np.zeros((size, size, 3), dtype=np.uint8)
    top, left = (size - new[1]) // 2, (size - new[0]) // 2
    square[top : top + new[1], left : left + new[0]] = pixels
    return square


PEERS = {
    "scale": lambda image, size: Resize(size, BICUBIC)(image),
    "crop": lambda image, size: Compose([Resize(size, BICUBIC), CenterCrop(size)])(image),
    "stretch": lambda image, size: Resize((size, size), BICUBIC)(image),
    "letterbox": plain_letterbox,
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", sorted(RESIZINGS))
def test_equals_an_independent_implementation(mode, shape, size, picture):
    image = picture(*shape)
    found = np.asarray(resized(image, mode, size))
    np.testing.assert_array_equal(found, np.asarray(PEERS[mode](image, size)))
    assert found.shape[:2] == (size, size) or mode not in SQUARE


@pytest.mark.parametrize("mode", sorted(RESIZINGS))
def test_one_pixel_fills_the_square_with_its_colour(mode):
    image = Image.new("RGB", (1, 1), (200, 10, 30))
    found = np.asarray(resized(image, mode, 16))
    assert found.shape == (16, 16, 3) and (found == (200, 10, 30)).all()


@pytest.mark.parametrize(
    ("shape", "size", "rows"),
    [((30, 10), 12, (4, 8)), ((40, 10), 15, (5, 9)), ((64, 64), 8, (0, 8)), ((900, 1), 8, (3, 4))],
)
def test_letterbox_bars_are_black_and_the_picture_is_whole(shape, size, rows):
    """White on black by hand: 40x10 at 15 is 15x4 (3.75 rounded), 5 rows above and 6 below."""
    for image, axis in ((Image.new("RGB", shape, "white"), 0), (None, 1)):
        image = image or Image.new("RGB", shape[::-1], "white")
        found = np.asarray(resized(image, "letterbox", size)).swapaxes(0, axis)
        expected = np.zeros((size, size, 3), dtype=np.uint8)
        expected[rows[0] : rows[1]] = 255
        np.testing.assert_array_equal(found, expected)


def test_what_each_keeps_of_a_wide_picture_with_red_ends():
    """32x8, the outer quarters red: crop sees none of them, stretch a half, scale all in place."""
    pixels = np.zeros((8, 32, 3), dtype=np.uint8)
    pixels[:, :8, 0] = pixels[:, 24:, 0] = 255
    image = Image.fromarray(pixels)
    red = {mode: np.asarray(resized(image, mode, 8))[..., 0] for mode in RESIZINGS}
    assert red["crop"].max() == 0
    assert red["stretch"].mean() == pytest.approx(127.5, abs=4)
    np.testing.assert_array_equal(red["scale"], pixels[..., 0])
    assert red["letterbox"].mean() == pytest.approx(127.5 / 4, abs=2)


@pytest.mark.parametrize("mode", ["scale", "crop"])
def test_a_thread_of_an_image_is_refused_before_memory_runs_out(mode):
    with pytest.raises(ValueError, match="2x200 is over 64 times as long as wide: use letterbox"):
        resized(Image.new("RGB", (2, 200)), mode, 64)


@pytest.mark.parametrize("kind", ["L", "RGBA", "P", "I;16", "CMYK"])
def test_other_modes_are_for_the_reader_to_convert(kind):
    with pytest.raises(ValueError, match=f"image of mode {kind}; convert it to RGB"):
        resized(Image.new(kind, (4, 4)), "scale", 8)
