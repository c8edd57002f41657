"""PNGs made byte by byte: those that end early are refused, the transparent colour is white."""

import hashlib
import struct
import zlib

import numpy as np
import pytest

from lycoris_bench.data.images import check, decode
from lycoris_bench.data.png import SIGNATURE
from lycoris_bench.data.seen import identity

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
         (0, 1, 1, 2))  # fmt: skip


def chunk(kind: bytes, data: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + crc


def packed(row: np.ndarray, bits: int) -> bytes:
    """Numbers of a row as a PNG stores them, after the byte of its filter."""
    digits = "".join(f"{int(value):0{bits}b}" for value in row.reshape(-1))
    digits += "0" * (-len(digits) % 8)
    return b"\0" + bytes(int(digits[k : k + 8], 2) for k in range(0, len(digits), 8))


def png(pixels: np.ndarray, bits: int, colours: int, *, key=None, lost: int = 0, adam7=False):
    """A PNG of numbers [rows, columns, channels]; the stream ends `lost` bytes early."""
    rows, columns, _ = pixels.shape
    passes = [pixels[y::dy, x::dx] for x, y, dx, dy in ADAM7] if adam7 else [pixels]
    stream = b"".join(packed(row, bits) for part in passes if part.size for row in part)
    header = struct.pack(">IIBBBBB", columns, rows, bits, colours, 0, 0, adam7)
    made = SIGNATURE + chunk(b"IHDR", header)
    if colours == PALETTE:
        made += chunk(b"PLTE", bytes(range(3 * 2**bits)))
    if key is not None:
        made += chunk(b"tRNS", struct.pack(f">{len(key)}H", *key))
    data = zlib.compress(stream[: max(0, len(stream) - lost)])
    half = len(data) // 2  # two chunks, as writers split it
    return made + chunk(b"IDAT", data[:half]) + chunk(b"IDAT", data[half:]) + chunk(b"IEND", b"")


KINDS = [
    (bits, colours)
    for colours, depths in (
        (GREY, (1, 2, 4, 8, 16)), (RGB, (8, 16)), (PALETTE, (1, 2, 4)), (GREY_ALPHA, (8, 16)),
        (RGBA, (8, 16)),
    )
    for bits in depths
]  # fmt: skip


@pytest.mark.parametrize("adam7", [False, True])
@pytest.mark.parametrize(("bits", "colours"), KINDS)
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (8, 11)])
def test_a_stream_that_ends_early_is_refused_and_a_whole_one_is_not(bits, colours, adam7, size):
    """Black pictures too, which are what PIL leaves of missing rows."""
    random = np.random.default_rng(0).integers(0, 2**bits, (*size, CHANNELS[colours]))
    for pixels in (random, np.zeros_like(random)):
        assert check(png(pixels, bits, colours, adam7=adam7)) == (size[1], size[0])
        last = pixels[1::2] if adam7 and size[0] > 1 else pixels  # the last of the seven
        for lost in (1, len(packed(last[-1], bits)), 10**6):
            found = check(png(pixels, bits, colours, adam7=adam7, lost=lost))
            assert found in ("the image is cut short: it has fewer pixels than its header says",
                             "the image is corrupt (image file is truncated "
                             "(0 bytes not processed))"), (lost, found)  # fmt: skip


def test_what_follows_the_picture_is_no_matter():
    pixels = np.zeros((3, 4, 3))
    assert check(png(pixels, 8, RGB) + b"of another file") == (4, 3)
    longer = png(np.zeros((9, 4, 3)), 8, RGB)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 3, 8, RGB, 0, 0, 0))
    assert check(SIGNATURE + header + longer[8 + len(header) :]) == (4, 3)


@pytest.mark.parametrize("adam7", [False, True])
@pytest.mark.parametrize(
    ("bits", "colours", "key"),
    [(1, GREY, (0,)), (2, GREY, (1,)), (4, GREY, (5,)), (8, GREY, (77,)), (16, GREY, (1000,)),
     (8, RGB, (1, 2, 3)), (16, RGB, (0x1234, 0x20, 0xFF30)), (16, RGB, (0xFFFF, 0, 0))],
)  # fmt: skip
def test_the_transparent_colour_is_white_and_no_other(bits, colours, key, adam7):
    """Each pixel alone, in integers: the key is compared as it is stored, the rest is scaled."""
    random = np.random.default_rng(1)
    near = [key, np.array(key) ^ 1, *random.integers(0, 2**bits, (18, len(key)))]
    pixels = np.array(near).reshape(4, 5, len(key))
    shown = np.asarray(decode(png(pixels, bits, colours, key=key, adam7=adam7)))
    for stored, seen in zip(pixels.reshape(-1, len(key)), shown.reshape(-1, 3), strict=True):
        if tuple(stored) == key:
            assert seen.tolist() == [255, 255, 255]
        elif bits == 16 and colours == RGB:
            assert seen.tolist() == [value >> 8 for value in stored]
        else:
            assert np.abs(seen - np.round(stored * 255 / (2**bits - 1))).max() == 0


def test_only_what_was_read_otherwise_has_another_identity():
    """What was made of the others stays; pictures that were accepted are looked at again."""
    plain = np.zeros((2, 2, 1)), np.zeros((2, 2, 3))
    changed = png(plain[0], 2, GREY, key=(1,)), png(plain[1], 16, RGB, key=(1, 1, 1))
    same = (png(plain[0], 2, GREY), png(plain[0], 8, GREY, key=(1,)), png(plain[1], 16, RGB),
            png(plain[0], 16, GREY, key=(1,)), SIGNATURE, b"")  # fmt: skip
    assert all(identity(data) != hashlib.sha256(data).hexdigest() for data in changed)
    assert all(identity(data) == hashlib.sha256(data).hexdigest() for data in same)
