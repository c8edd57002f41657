"""Pictures of every odd kind, each against pixels known beforehand."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from lycoris_bench.data.images import DataError, check, decode, read_image

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


# The pixel that is shown at (row, column) is stored there, by the words of the EXIF standard:
# 1: row 0 is the top, column 0 the left; 2: top, right; 3: bottom, right; 5: row 0 is the left ..
STORED = {
    1: lambda r, c, h, w: (r, c), 2: lambda r, c, h, w: (r, w - 1 - c),
    3: lambda r, c, h, w: (h - 1 - r, w - 1 - c), 4: lambda r, c, h, w: (h - 1 - r, c),
    5: lambda r, c, h, w: (c, r), 6: lambda r, c, h, w: (w - 1 - c, r),
    7: lambda r, c, h, w: (w - 1 - c, h - 1 - r), 8: lambda r, c, h, w: (c, h - 1 - r),
}  # fmt: skip


@pytest.mark.parametrize("form", ["png", "jpg", "webp", "tif", "tif by tags"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_honoured_once(tmp_path, orientation, form):
    """In the size that buckets are chosen by, and in the pixels, whatever the format."""
    shown = np.kron(np.arange(6).reshape(2, 3) * 50, np.ones((16, 16))).astype(np.uint8)
    height, width = shown.shape
    stored = np.zeros(shown.T.shape if orientation > 4 else shown.shape, np.uint8)
    for row in range(height):
        for column in range(width):
            stored[STORED[orientation](row, column, height, width)] = shown[row, column]
    exif = Image.Exif()
    exif[0x0112] = orientation
    given = {"tiffinfo": {0x0112: orientation}} if " " in form else {"exif": exif}
    path = tmp_path / f"e.{form[:4].strip()}"
    Image.fromarray(stored).convert("RGB").save(path, quality=95, **given)
    read = read_image(path)
    assert read.size == check(path.read_bytes()) == (width, height)
    assert np.abs(np.asarray(read)[..., 0].astype(int) - shown).max() <= 6


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_broken_exif_turns_nothing(tmp_path, suffix):
    path = tmp_path / f"e.{suffix}"
    Image.new("RGB", (6, 4), RED).save(path, exif=b"Exif\0\0II*\0broken")
    assert check(path.read_bytes()) == (6, 4)


def test_cmyk_one_bit_and_1x1(tmp_path):
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "c.tiff")
    Image.new("1", (4, 4), 1).save(tmp_path / "b.png")
    Image.new("RGB", (1, 1), RED).save(tmp_path / "one.webp", lossless=True)
    assert read_image(tmp_path / "c.tiff").getpixel((0, 0)) == RED
    assert read_image(tmp_path / "b.png").getpixel((0, 0)) == WHITE
    one = read_image(tmp_path / "one.webp")
    assert (one.size, one.getpixel((0, 0))) == ((1, 1), RED)


def tiff(values, dtype, bits, sample, photometric=1, samples=1, pixels=None):
    """One row of a TIFF without compression, by the specification."""
    data = values if isinstance(values, bytes) else np.array(values, dtype).tobytes()
    order, mark = (">", b"MM") if dtype.startswith(">") else ("<", b"II")
    width = pixels or len(values) // samples
    tags = {256: width, 257: 1, 258: bits, 259: 1, 262: photometric, 273: 0, 277: samples,
            278: 1, 279: len(data), 339: sample}  # fmt: skip
    after = 8 + 2 + 12 * len(tags) + 4
    each = struct.pack(f"{order}{samples}H", *[bits] * samples) if samples > 2 else b""
    tags[273] = after + len(each)
    directory = struct.pack(f"{order}H", len(tags))
    for tag, value in tags.items():
        if tag == 258 and each:
            directory += struct.pack(f"{order}HHII", tag, 3, samples, after)
        else:
            directory += struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0)
    return mark + struct.pack(f"{order}HI", 42, 8) + directory + bytes(4) + each + data


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (tiff([0, 0.25, 0.5, 1], "<f4", 32, 3), [0, 64, 128, 255]),
        (tiff([0, 0.25, 0.5, 1], ">f4", 32, 3), [0, 64, 128, 255]),
        (tiff([0, 257, 32896, 65535], ">u2", 16, 1), [0, 1, 128, 255]),
        (tiff([0, 257, 32896, 65535], "<u2", 16, 1, photometric=0), [255, 254, 127, 0]),
        (tiff([0, 16383, 32767, -7], "<i2", 16, 2), [0, 127, 255, 0]),  # white is 32767
        (tiff(b"\x00\x0f\xff\x80\x00\x00", "<u1", 12, 1, pixels=4), [0, 255, 128, 0]),
        (tiff([0, 100, 255], "<u1", 8, 1, photometric=0), [255, 155, 0]),
    ],
    ids=["float", "float MM", "16 MM", "16 white is 0", "16 signed", "12", "8 white is 0"],
)  # fmt: skip
def test_tiffs_of_more_than_8_bits_are_never_black(data, shown):
    assert np.asarray(decode(data))[0].tolist() == [[grey] * 3 for grey in shown]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (tiff([0, 100, 255], "<f4", 32, 3), "not all in 0..1, so white is not known"),
        (tiff([0, float("nan")], "<f4", 32, 3), "not all in 0..1"),
        (tiff([0, 100, 255], "<i4", 32, 2), "32-bit integers, of which white is not known"),
        (tiff([0, 0.5, 1] * 2, "<f4", 32, 3, 2, 3), "of a kind that is not read"),
        (b"", "the file is empty"),
    ],
    ids=["float to 255", "nan", "int32", "float colour", "empty"],
)
def test_a_picture_whose_white_is_not_known_is_refused(data, said):
    assert said in check(data)


def test_16_bits_of_colour_are_8_bits(tmp_path):
    read = decode(tiff([0, 257 * 100, 65535], "<u2", 16, 1, 2, 3))
    assert read.getpixel((0, 0)) == (0, 100, 255)


def test_lab_is_colour():
    """L*a*b* (D50) by its definition in float64, to linear sRGB and its curve."""
    lightness, a, b = 60.0, 30.0, -20.0
    f = (lightness + 16) / 116 + np.array([a / 500, 0, -b / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
    matrix = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.033454],
        [0.0719453, -0.2289914, 1.4052427],
    ]  # fmt: skip  (sRGB, adapted to D50)
    linear = np.array(matrix) @ xyz
    expected = 255 * np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 0)
    stored = bytes([round(lightness * 2.55), int(a), int(b) % 256])
    shown = decode(tiff(stored, "<u1", 8, 1, photometric=8, samples=3, pixels=1)).getpixel((0, 0))
    assert shown == pytest.approx(expected, abs=1.5)


@pytest.mark.parametrize("form", ["png", "webp", "tif", "mpo"])
def test_of_several_frames_the_first(tmp_path, form):
    first, second = (Image.new("RGB", (4, 4), colour) for colour in (RED, "blue"))
    lossless = {"lossless": True} if form == "webp" else {}
    path = tmp_path / f"a.{form}"
    first.save(path, save_all=True, append_images=[second], **lossless)
    assert read_image(path).getpixel((0, 0)) == pytest.approx(RED, abs=1)


@pytest.mark.parametrize("part", [0.97, 0.6, 0.3])
@pytest.mark.parametrize("form", ["jpeg", "progressive", "bmp", "tif", "lzw", "webp", "png"])
def test_a_picture_that_is_cut_short_is_found(tmp_path, form, part):
    more = {"progressive": {"progressive": True}, "lzw": {"compression": "tiff_lzw"}}.get(form, {})
    kind = {"progressive": "jpeg", "tif": "tiff", "lzw": "tiff"}.get(form, form)
    noise = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a", kind, **more)
    data = (tmp_path / "a").read_bytes()
    assert check(data) == (48, 64)
    assert isinstance(check(data[: int(len(data) * part)]), str)


def test_another_kind_or_a_bomb_is_named(tmp_path):
    Image.new("P", (2, 2)).save(tmp_path / "a", "GIF")
    assert check((tmp_path / "a").read_bytes()).startswith("it is a GIF picture; PNG, JPEG")
    Image.new("L", (2, 2)).save(tmp_path / "b", "PNG")
    data = bytearray((tmp_path / "b").read_bytes())
    data[16:24] = struct.pack(">II", 100_000, 100_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    assert "over 178 million pixels large" in check(bytes(data))
    Image.new("RGB", (3, 2)).save(tmp_path / "c.png", "JPEG")  # by its content, not by its name
    assert read_image(tmp_path / "c.png").size == (3, 2)


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
