"""A checkpoint's card: what marks its weights as done, what training cost and where it was, and
the checksum of the weights."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

Data = bytes  # which a card has a field called after
_hashed: dict[tuple[str, int, int], str] = {}  # of files that were touched since they were written


@dataclass(frozen=True)
class Card:
    """Of weights that are done, or of a training that diverged, which has a `reason` in place of
    weights. `device` and `versions` say where it was trained; older cards have neither."""

    uid: str
    status: str
    reason: str = ""
    cost: Mapping[str, float] = field(default_factory=dict)
    optimizer: str = ""
    max_norm: Mapping[str, Any] | None = None
    device: str = ""
    versions: Mapping[str, str | None] = field(default_factory=dict)
    bytes: int | None = None
    sha256: str = ""
    modified: int | None = None  # nanoseconds

    @classmethod
    def read(cls, found: Any) -> "Card | None":
        """The card in a JSON value; None where it lacks what a card has."""
        if not isinstance(found, dict):
            return None
        known = {f.name: found[f.name] for f in fields(cls) if f.name in found}
        if not all(isinstance(known.get(key), str) for key in ("uid", "status")):
            return None
        card = cls(**known)
        if card.status == "diverged":
            return card if isinstance(known.get("reason"), str) else None
        return card if card.status == "done" and card._is_counted() else None

    def to_json(self) -> dict[str, Any]:
        """What is known of it."""
        return {key: value for key, value in asdict(self).items() if value not in (None, "", {})}

    def vouching(self, path: Path, data: Data) -> "Card":
        """The card of weights that were just written: with their size, SHA-256 and time."""
        digest = hashlib.sha256(data).hexdigest()
        return replace(self, bytes=len(data), sha256=digest, modified=path.stat().st_mtime_ns)

    def vouches_for(self, path: Path) -> bool:
        """Whether the weights are what the card says: of its size and, where the file was touched
        since it was written, of its content. A diverged training has none. A card of an earlier
        version has no checksum: nothing vouches for its weights."""
        if self.status == "diverged":
            return True
        try:
            found = path.stat()
        except OSError:
            return False
        if not path.is_file() or found.st_size != self.bytes or not self.sha256:
            return False
        if found.st_mtime_ns == self.modified:
            return True
        key = (str(path), found.st_size, found.st_mtime_ns)
        if key not in _hashed:
            _hashed[key] = _sha256(path)
        return _hashed[key] == self.sha256

    def holds(self, path: Path) -> bool:
        """Whether the weights are bit by bit what the card says, whatever the file's size and
        time."""
        return path.is_file() and _sha256(path) == self.sha256

    def _is_counted(self) -> bool:
        return isinstance(self.cost, dict) and all(
            isinstance(self.cost.get(key), int | float) and math.isfinite(self.cost[key])
            for key in ("seconds", "steps")
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
