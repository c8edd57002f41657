"""Pictures of every odd kind, each against pixels known beforehand."""

import numpy as np
import pytest
from PIL import Image

from lycoris_bench.diffusion.images import DataError, check, read_image

RED, WHITE = (255, 0, 0), (255, 255, 255)


def test_alpha_is_composited_on_white(tmp_path):
    image = Image.new("RGBA", (3, 1))
    image.putdata([(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 51)])
    image.save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    assert read.mode == "RGB"
    assert [read.getpixel((x, 0)) for x in range(3)] == [RED, WHITE, (204, 204, 204)]


@pytest.mark.parametrize("transparency", [0, b"\x00\xff"])
def test_a_palette_with_transparency(tmp_path, transparency):
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 255, *RED])
    image.putdata([0, 1])
    image.save(tmp_path / "p.png", transparency=transparency)
    read = read_image(tmp_path / "p.png")
    assert [read.getpixel((x, 0)) for x in range(2)] == [WHITE, RED]


def test_grey_with_alpha_and_a_transparent_colour(tmp_path):
    Image.new("LA", (1, 1), (0, 0)).save(tmp_path / "la.png")
    Image.new("RGB", (1, 1), RED).save(tmp_path / "rgb.png", transparency=RED)
    assert read_image(tmp_path / "la.png").getpixel((0, 0)) == WHITE
    assert read_image(tmp_path / "rgb.png").getpixel((0, 0)) == WHITE


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_grey_of_16_bits_is_scaled_not_clipped(tmp_path, suffix):
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / f"g.{suffix}")
    read = np.asarray(read_image(tmp_path / f"g.{suffix}"))
    assert read[0, :, 0].tolist() == [0, 1, 128, 255]
    assert (read[..., :1] == read).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(tmp_path, orientation):
    """The picture is red in the corner where the flag says the top left of the scene is."""
    seen = Image.new("RGB", (32, 16), "white")
    seen.paste("red", (0, 0, 16, 8))
    undo = {2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}.get(orientation, [])
    stored = seen
    for how in undo:
        stored = stored.transpose(Image.Transpose(how))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "e.png", exif=exif)
    assert stored.size == ((16, 32) if orientation > 4 else (32, 16))
    assert check((tmp_path / "e.png").read_bytes()) == (32, 16)
    assert np.array_equal(np.asarray(read_image(tmp_path / "e.png")), np.asarray(seen))


def test_cmyk_one_bit_and_1x1(tmp_path):
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "c.tiff")
    Image.new("1", (4, 4), 1).save(tmp_path / "b.png")
    Image.new("RGB", (1, 1), RED).save(tmp_path / "one.webp", lossless=True)
    assert read_image(tmp_path / "c.tiff").getpixel((0, 0)) == RED
    assert read_image(tmp_path / "b.png").getpixel((0, 0)) == WHITE
    one = read_image(tmp_path / "one.webp")
    assert (one.size, one.getpixel((0, 0))) == ((1, 1), RED)


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "missing", "folder", "flipped"])
def test_what_cannot_be_read_is_one_sentence_with_the_name(tmp_path, kind):
    path = tmp_path / "picture.png"
    if kind == "text":
        path.write_text("<html>404</html>")
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        Image.effect_noise((64, 64), 90).save(path)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 255
        path.write_bytes(data[: len(data) // 2] if kind == "truncated" else data)
        assert isinstance(check(path.read_bytes()), str)
    with pytest.raises(DataError, match=r"picture\.png: (the|there is) ") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_many_problems_are_cut_short_but_kept():
    error = DataError("dataset x", [f"p{k}" for k in range(500)])
    assert str(error).endswith("p18; p19; and 480 more") and len(error.problems) == 500
