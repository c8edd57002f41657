"""Safetensors that carry their own checksum: what was cut short, or changed by one bit, is told
from what was written. Standard library only; works on the file's bytes, whatever the dtypes."""

import hashlib
import json
from typing import Any

from lycoris_bench.messages.errors import BenchError

CHECKSUM = "checksum"
METADATA = "__metadata__"


class SealError(BenchError):
    """The bytes are not those that were written."""


def seal(content: bytes) -> bytes:
    """The same safetensors file with a SHA-256 of header and numbers in its metadata."""
    header, start = _header(content)
    numbers = memoryview(content)[start:]
    checksum = _checksum(header, numbers)
    sealed = {METADATA: {**header.get(METADATA, {}), CHECKSUM: checksum}, **_tensors(header)}
    text = json.dumps(sealed, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join((len(text).to_bytes(8, "little"), text, numbers))


def check(content: bytes) -> dict[str, str]:
    """The metadata of a sealed file. SealError: it is cut off, changed, or was never sealed."""
    try:
        header, start = _header(content)
        about = dict(header[METADATA])
        found = about.pop(CHECKSUM)
        expected = _checksum({**header, METADATA: about}, memoryview(content)[start:])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SealError(f"it is cut off or carries no checksum ({type(error).__name__})") from None
    if found != expected:
        raise SealError("it was damaged or changed: its checksum is another")
    return about


def _header(content: bytes) -> tuple[dict[str, Any], int]:
    """The JSON header, and where the numbers begin."""
    start = 8 + int.from_bytes(content[:8], "little")
    return dict(json.loads(content[8:start])), start


def _tensors(header: dict[str, Any]) -> dict[str, Any]:
    return {name: place for name, place in header.items() if name != METADATA}


def _checksum(header: dict[str, Any], numbers: memoryview) -> str:
    said = {METADATA: header.get(METADATA, {}), **_tensors(header)}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    digest.update(numbers)
    return digest.hexdigest()
