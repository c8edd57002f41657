"""The PNG file of a generated image: its pixels, and its parameters and uid in a text chunk."""

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lycoris_bench.files import disk

CHUNK = "lycoris-bench"
IEND = bytes.fromhex("0000000049454e44ae426082")  # the last chunk of every whole PNG


def to_bytes(pixels: Any, parameters: Mapping[str, Any]) -> bytes:
    """The file of a uint8 [h,w,3] array."""
    info = PngInfo()
    info.add_text(CHUNK, json.dumps(parameters))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=info, compress_level=1)
    return buffer.getvalue()


def parameters(path: Path) -> dict[str, Any]:
    """What the text chunk of an image says of how it was drawn; empty where it says nothing."""
    try:
        if disk.kind_of(path):
            return {}
        with Image.open(path) as image:
            found = json.loads(image.info[CHUNK])
        return found if isinstance(found, dict) else {}
    except Exception:  # a broken file may raise almost anything
        return {}


def uid(path: Path) -> str | None:
    """The uid in the text chunk; None where there is none, or the file is cut short. Damaged
    pixels are found when the image is decoded."""
    try:
        if disk.kind_of(path):
            return None  # a pipe would be waited for
        with path.open("rb") as file, Image.open(file) as image:
            found = json.loads(image.info[CHUNK])
            file.seek(-len(IEND), os.SEEK_END)
            return str(found["uid"]) if file.read() == IEND else None
    except Exception:  # a broken file may raise almost anything
        return None
