"""A checkpoint's card: what marks its weights as done, what training cost, and their checksum."""

import hashlib
import math
from pathlib import Path
from typing import Any

Card = dict[str, Any]
_hashed: dict[tuple[str, int, int], str] = {}  # of files that were touched since they were written


def vouching(card: Card, path: Path, data: bytes) -> Card:
    """The card of weights that were just written: with their size, SHA-256 and time."""
    digest = hashlib.sha256(data).hexdigest()
    return {**card, "bytes": len(data), "sha256": digest, "modified": path.stat().st_mtime_ns}


def believed(card: Any, path: Path) -> Card | None:
    """The card, if it has all that a card has, and if the weights are what it says: of its size
    and, where the file was touched since it was written, of its content. A card of an earlier
    version has no checksum: nothing vouches for its weights."""
    if not isinstance(card, dict) or not isinstance(card.get("uid"), str):
        return None
    if card.get("status") == "diverged":
        return card if isinstance(card.get("reason"), str) else None
    cost = card.get("cost")
    counted = isinstance(cost, dict) and all(
        isinstance(cost.get(key), int | float) and math.isfinite(cost[key])
        for key in ("seconds", "steps")
    )
    return card if card.get("status") == "done" and counted and _whole(card, path) else None


def holds(card: Any, path: Path) -> bool:
    """Whether the weights are bit by bit what the card says, whatever the file's size and time."""
    return isinstance(card, dict) and path.is_file() and _sha256(path) == card.get("sha256")


def _whole(card: Card, path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    if not path.is_file() or found.st_size != card.get("bytes"):
        return False
    if found.st_mtime_ns == card.get("modified") and isinstance(card.get("sha256"), str):
        return True
    key = (str(path), found.st_size, found.st_mtime_ns)
    if key not in _hashed:
        _hashed[key] = _sha256(path)
    return _hashed[key] == card.get("sha256")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
