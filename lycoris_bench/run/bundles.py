"""Files as bundles in Ray's object store, so that many small ones are sent as one, and what several
workers read is put there once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lycoris_bench.files import disk
from lycoris_bench.run import mirror

MOST_BYTES = 16 << 20  # of a bundle of several files
Stamp = tuple[int, int]
"""Size and time of change of a file."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """The reference of some files in the object store, and what they were when they were read."""

    reference: Any
    stamps: dict[Path, Stamp]


class Bundles:
    """What was put into the object store. What is shared stays there to the end."""

    def __init__(self, ray: Any) -> None:
        self.ray = ray
        self._kept: dict[Path, Bundle] = {}
        self._arguments: dict[int, tuple[Any, Any]] = {}
        self._listed: dict[tuple[Path, ...], list[Bundle]] = {}

    def argument(self, value: Any) -> Any:
        """The reference of an argument that many items have, put once; another one as it is."""
        if not hasattr(value, "at"):
            return value
        if id(value) not in self._arguments:
            self._arguments[id(value)] = (value, self.ray.put(value))
        return self._arguments[id(value)][1]

    def own(self, places: tuple[Path, ...]) -> list[Bundle]:
        """The bundles of the files among places and in their folders, for one item. FileError: one
        cannot be read."""
        return list(self._put(_now(places)))

    def shared(self, places: tuple[Path, ...]) -> list[Bundle]:
        """The bundles of what several items read, as it was when it was last `changed`."""
        if places not in self._listed:
            now = _now(places)
            kept = dict.fromkeys(b for path in now if (b := self._kept.get(path)))
            valid = [b for b in kept if b.stamps.items() <= now.items()]
            there = {path for bundle in valid for path in bundle.stamps}
            made = list(self._put({p: s for p, s in now.items() if p not in there}))
            self._kept |= {path: bundle for bundle in made for path in bundle.stamps}
            self._listed[places] = [*valid, *made]
        return self._listed[places]

    def changed(self, path: Path) -> None:
        """A file was written or removed: what it is among is listed again."""
        above = {path, *path.parents}
        for places in [places for places in self._listed if not above.isdisjoint(places)]:
            del self._listed[places]

    def _put(self, stamps: dict[Path, Stamp]) -> Iterator[Bundle]:
        for part in _parts(stamps):
            contents = [(path, disk.read_bytes(path)) for path in part]
            yield Bundle(self.ray.put(contents), part)


def _now(places: Iterable[Path]) -> dict[Path, Stamp]:
    return {path: stamp for path in mirror.files(places) if (stamp := _stamp(path))}


def _parts(stamps: dict[Path, Stamp]) -> Iterator[dict[Path, Stamp]]:
    part: dict[Path, Stamp] = {}
    size = 0
    for path, stamp in stamps.items():
        if part and size + stamp[0] > MOST_BYTES:
            yield part
            part, size = {}, 0
        part[path] = stamp
        size += stamp[0]
    if part:
        yield part


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None  # removed meanwhile
    return found.st_size, found.st_mtime_ns
