"""The SHA-256 of a file's content. Standard library only."""

import errno
import hashlib
from pathlib import Path

_known: dict[tuple[str, int, int], str] = {}  # by path, size and time of change


def sha256(path: Path) -> str:
    """Of all that the file holds now. OSError: it is missing, or no plain file (a pipe would be
    waited for)."""
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, "no plain file", str(path))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_once(path: Path) -> str | None:
    """The same, read once by this process while size and time stay; None: there is no such file."""
    try:
        found = path.stat()
        key = (str(path), found.st_size, found.st_mtime_ns)
        if key not in _known:
            _known[key] = sha256(path)
    except OSError:
        return None
    return _known[key]
