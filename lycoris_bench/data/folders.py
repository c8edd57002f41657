"""Lists folders of images in natural order; entries that are no plain file or folder are
reported."""

import os
import re
from pathlib import Path

from lycoris_bench.data.images import NOT_READ, SUFFIXES, DataError
from lycoris_bench.files import disk


def natural(path: Path) -> tuple[object, ...]:
    """Sort key of a name: digits compare as numbers, letters without their case; names that are
    equal but for case or leading zeros come in the order of their characters.

    >>> sorted(["dog10", "dog2", "Dog", "dog", "cat"], key=lambda name: natural(Path(name)))
    ['cat', 'Dog', 'dog', 'dog2', 'dog10']
    """
    # Odd places of the split hold the digits, so numbers never meet text in a comparison. A number
    # is its length and its digits: int() refuses very long ones.
    parts = re.split(r"([0-9]+)", path.name)
    numbers = [(len(digits := part.lstrip("0")), digits) for part in parts[1::2]]
    words = [part.casefold() for part in parts[::2]]
    mixed = [value for pair in zip(words, [*numbers, ()], strict=True) for value in pair]
    return tuple(mixed[:-1]), path.name


class Folders:
    """The visible entries of a tree, each folder listed once; `problems` gets a sentence for each
    that is neither a plain file nor a folder, cannot be read, or is a picture that is not read."""

    def __init__(self, root: Path, problems: list[str]) -> None:
        self.root, self.problems = root, problems
        self._listed: dict[Path, tuple[list[Path], list[Path]]] = {}

    def name(self, path: Path) -> str:
        """The path below the root."""
        return os.path.relpath(path, self.root) if path != self.root else str(path)

    def folders(self, place: Path) -> list[Path]:
        """The folders in a folder, links to folders among them, unless they lead back."""
        return self._list(place)[0]

    def files(self, place: Path) -> list[Path]:
        """The plain files in a folder."""
        return self._list(place)[1]

    def images(self, place: Path) -> list[Path]:
        """The pictures in a folder."""
        return [path for path in self.files(place) if path.suffix.lower() in SUFFIXES]

    def below(self, place: Path) -> list[Path]:
        """The pictures in a folder and in all folders inside it."""
        deeper = [path for folder in self.folders(place) for path in self.below(folder)]
        return self.images(place) + deeper

    def _list(self, place: Path) -> tuple[list[Path], list[Path]]:
        if place not in self._listed:
            listing: tuple[list[Path], list[Path]] = ([], [])
            self._listed[place] = listing
            try:
                entries = sorted(place.iterdir(), key=natural)
            except OSError as error:
                self.problems.append(f"{self.name(place)} cannot be read ({error.strerror})")
                entries = []
            for entry in entries:
                if not entry.name.startswith("."):  # such as .DS_Store or ._image.png
                    self._sort(entry, *listing)
            self._twins(listing[0])
        return self._listed[place]

    def _sort(self, entry: Path, folders: list[Path], files: list[Path]) -> None:
        kind = disk.kind_of(entry)
        problem = _unusable(entry, kind) or self._loop(entry, kind)
        if problem:
            self.problems.append(f"{self.name(entry)} {problem}")
        elif kind:
            folders.append(entry)
        else:
            files.append(entry)

    def _loop(self, entry: Path, kind: str | None) -> str | None:
        if kind is None or not entry.is_symlink():
            return None
        above = [p for p in entry.parents if p == self.root or self.root in p.parents]
        back = entry.resolve() in [p.resolve() for p in above]
        return "is a link to a folder that it lies in; remove it" if back else None

    def _twins(self, folders: list[Path]) -> None:
        seen: dict[str, Path] = {}
        for path in folders:
            if disk.composed(path.name) in seen:
                self.problems.append(
                    f"{self.name(path)} is there twice, spelled in two Unicode forms; rename one"
                )
            seen[disk.composed(path.name)] = path


def _unusable(entry: Path, kind: str | None) -> str | None:
    """The reason why an entry cannot be used, as the rest of a sentence."""
    if kind not in (None, "a folder"):
        return f"is {kind}; remove it"
    if kind and entry.suffix.lower() in (*SUFFIXES, ".txt", ".jsonl"):
        return "is a folder in the place of a file; rename it"
    if kind is None and not os.path.exists(entry):  # noqa: PTH110  (Path's raises in a loop)
        return "is a link to nothing; remove it" if entry.is_symlink() else "cannot be read"
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        return "has a name that is not UTF-8; rename it"
    if kind is None and entry.suffix.lower() in NOT_READ:
        return f"is not read; convert it to one of {', '.join(SUFFIXES)}, or remove it"
    return None


def images_below(root: Path) -> list[Path]:
    """The pictures in a folder, however deep, folder by folder in natural order.

    DataError: names everything that is wrong."""
    problems: list[str] = []
    images = Folders(root, problems).below(root)
    if problems:
        raise DataError(f"folder {root}", problems)
    return images
