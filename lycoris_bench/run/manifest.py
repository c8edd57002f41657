"""A manifest: which image sets of a checkpoint are whole, what their images were asked as, and
how their folders looked then. It lies beside the images and carries its own checksum.

An entry is believed while its folder was not touched: nothing was added, removed or renamed in it
since (the folder's time) and, looked at closely, no image has another size or time. Then no image
has to be opened. Whatever was touched is opened again, once."""

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
    """One whole image set. `drawn_by` and `asked` identify all that its images' uids follow from:
    where both are the present ones, no uid need be computed."""

    drawn_by: str
    asked: str
    folder: int  # nanoseconds: when a name in the folder last changed
    files: str  # hash of the size and time of each image

    def is_untouched(self, folder: Path, images: int, closely: bool) -> bool:
        """Whether the folder is as it was; `closely` looks at each of its images."""
        if _changed(folder) != self.folder:
            return False
        return not closely or _files(folder, images) == self.files


@dataclass
class Manifest:
    """The whole image sets of a checkpoint, by name."""

    sets: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Nothing where the file is missing, damaged, or of another version."""
        found = checked(path)
        try:
            return cls({str(name): Entry(*entry) for name, entry in found["sets"].items()})
        except (KeyError, TypeError, AttributeError):
            return cls()

    def to_text(self) -> str:
        sets = {name: list(vars(entry).values()) for name, entry in self.sets.items()}
        return sealed({"sets": sets})


def entry(folder: Path, images: int, drawn_by: str, asked: str) -> Entry | None:
    """What is to be believed of a folder whose images were just found, or stored, as they are
    asked; None where one of them is not there."""
    changed = _changed(folder)  # before its images: what is removed in between shows later
    files = _files(folder, images)
    return Entry(drawn_by, asked, changed, files) if changed and files else None


def sealed(content: Mapping[str, Any]) -> str:
    """Content as JSON with its own checksum."""
    return json.dumps({**content, CHECKSUM: uid(content)}, separators=(",", ":"))


def checked(path: Path) -> dict[str, Any]:
    """The content of such a file; nothing where it is missing, or other than was written."""
    try:
        content = dict(disk.read_json(path))
    except (disk.FileError, TypeError, ValueError):
        return {}
    return content if content.pop(CHECKSUM, None) == uid(content) else {}


def image_name(k: int) -> str:
    """The file of image k of a set."""
    return f"{k:05d}.png"


def stamps(paths: Iterable[Path]) -> list[list[int]] | None:
    """Size and time of each file; None where one is missing."""
    try:
        found = [path.stat() for path in paths]
    except OSError:
        return None
    return [[one.st_size, one.st_mtime_ns] for one in found]


def _changed(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def _files(folder: Path, images: int) -> str:
    found = stamps(folder / image_name(k) for k in range(images))
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16] if found else ""
