"""A checkpoint's card: the JSON file that marks its weights as complete, with the training's cost
and machine, and the weights' checksum."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from lycoris_bench.files.checksum import sha256, sha256_once
from lycoris_bench.files.identity import uid

CHECKSUM = "checksum"  # of the card itself
Data = bytes  # inside Card the name `bytes` is a field


@dataclass(frozen=True)
class Card:
    """Describes weights (`status` "done"), or a training that diverged, which has a `reason` and
    no weights. `device` and `versions` say where it was trained; older cards have neither."""

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
        """The card in a JSON value; None where a required field is missing or wrong, or the card
        was damaged. Cards of earlier versions have no checksum."""
        if not isinstance(found, dict):
            return None
        known = {f.name: found[f.name] for f in fields(cls) if f.name in found}
        if CHECKSUM in found and found[CHECKSUM] != uid(known):
            return None
        if not all(isinstance(known.get(key), str) for key in ("uid", "status")):
            return None
        card = cls(**known)
        if card.status == "diverged":
            return card if isinstance(known.get("reason"), str) else None
        return card if card.status == "done" and card._is_counted() else None

    def to_json(self) -> dict[str, Any]:
        """Its fields as JSON, without the empty ones, and their checksum."""
        found = {key: value for key, value in asdict(self).items() if value not in (None, "", {})}
        return {**found, CHECKSUM: uid(found)}

    def vouching(self, path: Path, data: Data) -> "Card":
        """This card with the size, SHA-256 and time of weights that were just written."""
        digest = hashlib.sha256(data).hexdigest()
        return replace(self, bytes=len(data), sha256=digest, modified=path.stat().st_mtime_ns)

    def vouches_for(self, path: Path) -> bool:
        """Whether the file at `path` has the card's size and, if its time changed, the card's
        SHA-256. True for a diverged training, which has no file; false for a card of an earlier
        version, which has no checksum."""
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
        return sha256_once(path) == self.sha256

    def holds(self, path: Path) -> bool:
        """Whether the file's content has the card's SHA-256; it is always read whole."""
        return path.is_file() and sha256(path) == self.sha256

    def _is_counted(self) -> bool:
        return isinstance(self.cost, dict) and all(
            isinstance(self.cost.get(key), int | float) and math.isfinite(self.cost[key])
            for key in ("seconds", "steps")
        )
