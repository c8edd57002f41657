"""A manifest lists the complete image sets of a checkpoint, with the identity of their images and
the state of their folders. It lies in the folder of the images and carries its own checksum.

An entry is valid while its folder is unchanged: nothing was added, removed or renamed in it (the
folder's time) and, in a close check, each image has its size and time. Then no image has to be
opened. The images of a changed folder are opened again, once."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lycoris_bench.files import disk
from lycoris_bench.files.identity import uid

CHECKSUM = "checksum"


@dataclass(frozen=True)
class Entry:
    """One complete image set. `drawn_by` and `asked` identify all that its images' uids depend on:
    where both equal the present ones, no uid has to be computed."""

    drawn_by: str
    asked: str
    folder: int  # nanoseconds: when a name in the folder last changed
    files: str  # hash of the size and time of each image

    def is_untouched(self, folder: Path, images: int, closely: bool) -> bool:
        """Whether the folder is unchanged; `closely` checks each image's size and time too."""
        if _changed(folder) != self.folder:
            return False
        return not closely or _files(folder, images) == self.files


@dataclass
class Manifest:
    """The complete image sets of a checkpoint, by name."""

    sets: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """The manifest in a file; empty where that is missing, damaged, or of another version."""
        found = checked(path)
        try:
            return cls({str(name): Entry(*entry) for name, entry in found["sets"].items()})
        except (KeyError, TypeError, AttributeError):
            return cls()

    def to_text(self) -> str:
        sets = {name: list(vars(entry).values()) for name, entry in self.sets.items()}
        return sealed({"sets": sets})


def entry(folder: Path, images: int, drawn_by: str, asked: str) -> Entry | None:
    """The entry of a folder whose images were just found or stored under their present uids; None
    where one of them is missing."""
    changed = _changed(folder)  # before its images: what is removed in between shows later
    files = _files(folder, images)
    return Entry(drawn_by, asked, changed, files) if changed and files else None


def sealed(content: Mapping[str, Any]) -> str:
    """Content as JSON with a checksum of itself."""
    return json.dumps({**content, CHECKSUM: uid(content)}, separators=(",", ":"))


def checked(path: Path) -> dict[str, Any]:
    """The content of a file of `sealed` JSON; empty where it is missing or its checksum fails."""
    try:
        content = dict(disk.read_json(path))
    except (disk.FileError, TypeError, ValueError):
        return {}
    return content if content.pop(CHECKSUM, None) == uid(content) else {}


def image_name(k: int) -> str:
    """The file of image k of a set."""
    return f"{k:05d}.png"


def stamps(paths: Iterable[Path]) -> list[list[int]] | None:
    """Size and time of change of each file; None where one is missing."""
    try:
        stats = [path.stat() for path in paths]
    except OSError:
        return None
    return [[stat.st_size, stat.st_mtime_ns] for stat in stats]


def _changed(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def _files(folder: Path, images: int) -> str:
    stats = stamps(folder / image_name(k) for k in range(images))
    return hashlib.sha256(json.dumps(stats).encode()).hexdigest()[:16] if stats else ""
