"""Where things lie in the authors' repository, or in a folder with a part of it."""

import hashlib
from pathlib import Path

from lycoris_bench.published.names import PublishedError

PROMPTS = "eval_prompts"


class Clone:
    """A folder in which files are found by their names, however deep they lie."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise PublishedError(
                f"there is no folder {root}; needed is a clone of the authors' repository "
                "(github.com/cyber-meow/LyCORIS-evaluation) or a part of it"
            )
        self.root = root

    def find(self, pattern: str) -> list[Path]:
        """All files or folders of that name, the least deep first."""
        found = [path for path in self.root.rglob(pattern) if ".git" not in path.parts]
        return sorted(found, key=lambda path: (len(path.parts), str(path)))

    def one(self, name: str) -> Path | None:
        """The least deep of that name, or None."""
        return next(iter(self.find(name)), None)

    def tables(self, pattern: str) -> list[Path]:
        """Of a pattern every file, of a plain name the least deep (the rest are copies)."""
        found = self.find(pattern)
        return found if "*" in pattern else found[:1]

    def needed(self, name: str, purpose: str) -> Path:
        """The same, or a sentence that says what it is needed for."""
        if (path := self.one(name)) is None:
            raise PublishedError(f"{self.root} holds no {name}: {purpose}")
        return path


def sha256(path: Path) -> str:
    """The digest of a file, for the provenance."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
