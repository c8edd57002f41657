"""A folder in which files of another machine lie under the paths that they have there."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import lycoris_bench
from lycoris_bench.files import disk
from lycoris_bench.files.disk import PARTIAL

PACKAGE = Path(lycoris_bench.__file__).resolve().parent
"""What is shipped with the program lies in its package, on each machine."""
PREFIX = "lycoris-bench-worker-"
Content = tuple[Path, bytes]
"""The path of a file on its own machine, and all its bytes."""


def files(places: Iterable[Path]) -> Iterator[Path]:
    """The files among these places and in the folders among them, without half-written ones and
    what is shipped with the program."""
    for place in places:
        if place.is_relative_to(PACKAGE):
            continue
        inside = sorted(place.rglob("*")) if place.is_dir() else [place]
        for path in inside:
            if path.is_file() and not path.name.endswith(PARTIAL):
                yield path


class Mirror:
    """The files of a machine whose package lies in `package`."""

    def __init__(self, package: Path, root: Path | None = None) -> None:
        _sweep()
        self.package = package
        self.root = root or Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))

    def place(self, path: Path) -> Path:
        """Where a file of the other machine lies on this one."""
        path = path.absolute()
        if path.is_relative_to(self.package):
            return PACKAGE / path.relative_to(self.package)
        return self.root / path.relative_to(path.anchor)

    def origin(self, path: Path) -> Path | None:
        """The path on the other machine of a file that lies here; None outside of the mirror."""
        return Path("/") / path.relative_to(self.root) if path.is_relative_to(self.root) else None

    def receive(self, contents: Iterable[Content]) -> None:
        """Writes files of the other machine."""
        for path, data in contents:
            disk.write(self.place(path), data)

    def remove(self, places: Iterable[Path]) -> None:
        """Removes files and folders of the other machine from this one."""
        for place in map(self.place, places):
            if place.is_dir():
                shutil.rmtree(place, ignore_errors=True)
            else:
                place.unlink(missing_ok=True)

    def close(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


def _sweep() -> None:
    """Removes the mirrors of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        process = folder.name.removeprefix(PREFIX).partition("-")[0]
        if process.isdigit() and not _lives(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def _lives(process: int) -> bool:
    with contextlib.suppress(PermissionError):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
    return True
