"""The SHA-256 of a file's content. Standard library only."""

import hashlib
from pathlib import Path

_known: dict[tuple[str, int, int], str] = {}  # by path, size and time of change


def sha256(path: Path) -> str:
    """Of all that a plain file holds now; a pipe is waited for."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_once(path: Path) -> str | None:
    """The same, read once by this process while size and time stay; None: there is no such plain
    file."""
    if not path.is_file():
        return None
    try:
        found = path.stat()
        key = (str(path), found.st_size, found.st_mtime_ns)
        if key not in _known:
            _known[key] = sha256(path)
    except OSError:
        return None
    return _known[key]
