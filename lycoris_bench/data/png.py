"""Detects a PNG whose pixels end early, and its transparent colour, which PIL does not report."""

import io
import zlib
from typing import Any

import numpy as np
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BITS, _COLOURS, _INTERLACED = 24, 25, 28  # places of bytes of the header
_GREY, _RGB = 0, 2
_CHANNELS = {_GREY: 1, _RGB: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # fmt: skip
_PIECE = 1 << 14  # bytes that are unpacked at once, to a thousand times as many at most


def ends_early(image: Image.Image, data: bytes) -> bool:
    """Whether a PNG that was loaded has fewer pixels than its header says. PIL takes the stream's
    own end for the end of the picture, and leaves black what is missing."""
    width, height = image.size
    last = image.crop((0, height - 1, width, height)).tobytes()
    if any(last) and not data[_INTERLACED]:
        return False  # the last row was read: nothing has to be counted
    needed = sum(
        rows * (1 + (columns * data[_BITS] * _CHANNELS[data[_COLOURS]] + 7) // 8)
        for columns, rows in _passes(width, height, bool(data[_INTERLACED]))
    )
    return _unpacked(_chunks(data, b"IDAT"), needed) < needed


def _passes(width: int, height: int, interlaced: bool) -> list[tuple[int, int]]:
    """(columns, rows) of each pass of the stored picture: one, or Adam7's seven."""
    if not interlaced:
        return [(width, height)]
    sizes = [(-((x - width) // dx), -((y - height) // dy)) for x, y, dx, dy in _ADAM7]
    return [size for size in sizes if min(size) > 0]


def _chunks(data: bytes, kind: bytes) -> bytes:
    contents, place = [], len(SIGNATURE)
    while place + 8 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] == kind:
            contents.append(data[place + 8 : place + 8 + length])
        place += length + 12
    return b"".join(contents)


def _unpacked(packed: bytes, most: int) -> int:
    """How many bytes a stream holds, counted up to `most` without keeping them."""
    stream, count = zlib.decompressobj(), 0
    for start in range(0, len(packed), _PIECE):
        count += len(stream.decompress(packed[start : start + _PIECE]))
        if count >= most or stream.eof:
            break
    return count


def key_on_white(image: Image.Image, data: bytes) -> Image.Image:
    """A PNG without an alpha channel may name one colour that is transparent: here it is white.

    The colour is named as it is stored, with 2 or 16 bits; PIL compares it with what it has made
    8 bits of. 16-bit grey is PIL's "I;16", which keeps its numbers and is no matter of this."""
    key: Any = image.info.get("transparency")
    if key is None or image.mode not in ("1", "L", "RGB"):
        return image
    bits = data[_BITS]
    largest = 2**bits - 1
    colour = np.broadcast_to(np.asarray(key) & largest, 3)
    pixels = np.array(image.convert("RGB"))
    if bits == 16:
        is_key = (pixels == colour >> 8) & (_low_bytes(data) == colour & 255)
    else:
        is_key = pixels == colour * 255 // largest
    pixels[is_key.all(axis=-1)] = 255
    return Image.fromarray(pixels)


def _low_bytes(data: bytes) -> np.ndarray[Any, Any]:
    """The low byte of each 16-bit number, which PIL drops; it keeps that byte when told that the
    numbers are stored in the opposite byte order."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
        return np.asarray(image)


def key_was_missed(data: bytes) -> bool:
    """Whether versions before 0.2 decoded this PNG as another picture, since they compared its
    transparent colour as PIL does."""
    if not data.startswith(SIGNATURE) or len(data) <= _COLOURS:
        return False
    kinds = ((_GREY, 2), (_GREY, 4), (_RGB, 16))
    return (data[_COLOURS], data[_BITS]) in kinds and bool(_chunks(data, b"tRNS"))
