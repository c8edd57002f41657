"""Where things lie in the authors' repository, or in a folder with a part of it."""

from pathlib import Path

from lycoris_bench.files.checksum import sha256
from lycoris_bench.published.renames import PublishedError

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
        """All files or folders of that name, nearest to the root first."""
        found = [path for path in self.root.rglob(pattern) if ".git" not in path.parts]
        return sorted(found, key=lambda path: (len(path.parts), str(path)))

    def one(self, name: str) -> Path | None:
        """The one of that name nearest to the root, or None. PublishedError: another has the same
        name and other contents, so that nobody knows which is meant."""
        found = self.find(name)
        for other in found[1:]:
            if _content(other) != _content(found[0]):
                raise PublishedError(
                    f"{found[0]} and {other} have one name and different contents; keep the one "
                    "that is meant"
                )
        return next(iter(found), None)

    def tables(self, pattern: str) -> list[Path]:
        """One file of each name that the pattern matches; the rest are copies of it."""
        names = dict.fromkeys(path.name for path in self.find(pattern))
        return [path for name in names if (path := self.one(name))]

    def needed(self, name: str, purpose: str) -> Path:
        """As `one`; PublishedError, which says what it is needed for, where there is none."""
        if (path := self.one(name)) is None:
            raise PublishedError(f"{self.root} holds no {name}: {purpose}")
        return path


def _content(path: Path) -> list[tuple[str, str]]:
    """Of a folder all files with their digests, of a file its own."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [(str(f.relative_to(path)), sha256(f)) for f in files if f.is_file()]
