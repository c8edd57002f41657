"""A run that is passed on may hold the rows of single checkpoints in its table of all rows alone,
which is half as large. The table then says of each what its own file would be and was made from."""

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from lycoris_bench.files import parquet
from lycoris_bench.run.store import Store
from lycoris_bench.study.records import Source

KEY = ("configuration", "seed", "epoch", "strength")
Packed = dict[str, dict[str, Any]]  # by the place of a source in a run folder


def rows(store: Store, source: Source) -> tuple[pd.DataFrame, str] | None:
    """The rows of a source and the uid of their inputs, as `Store.frame` gives those of its own
    file; None where the table of all rows has none packed, or is damaged."""
    about = _packed(store).get(store.branch(source).as_posix())
    frames = _frames(*_state(store)) if about else {}
    frame = frames.get(_key(about)) if about else None
    return None if about is None or frame is None else (frame, about["made_from"])


def pack(store: Store, sources: Iterable[Source], to: Path) -> None:
    """Writes the table of all rows with what the files of single sources know besides."""
    stored = store.frame(store.table("metrics"))
    if stored is None:
        return
    frame, carried = stored
    about = {_key(entry): entry for entry in json.loads(carried)}
    for source in sources:
        if own := store.frame(store.metrics(store.branch(source))):
            values = source.configuration.name, source.seed, source.epoch, source.strength
            entry = about.setdefault(values, dict(zip(KEY, values, strict=True)))
            entry |= {"place": store.branch(source).as_posix(), "made_from": own[1]}
    Store(to.parent).put_frame(to, frame, json.dumps([*about.values()]))


def unpack(store: Store) -> None:
    """Gives each source whose rows are packed its own file again, so that nothing is lost when the
    table of all rows is written anew."""
    packed = _packed(store)
    frames = _frames(*_state(store)) if packed else {}
    for place, about in packed.items():
        file = store.metrics(Path(place))
        if not file.exists() and (frame := frames.get(_key(about))) is not None:
            store.put_frame(file, frame, about["made_from"])


def _packed(store: Store) -> Packed:
    return _entries(*_state(store))


def _state(store: Store) -> tuple[Path, int, int]:
    """Where the table of all rows is, its size and when it changed; 0 where there is none."""
    path = store.table("metrics")
    found = path.stat() if path.is_file() else None
    return path, found.st_size if found else 0, found.st_mtime_ns if found else 0


@lru_cache(maxsize=4)
def _entries(path: Path, size: int, changed: int) -> Packed:
    """From the metadata of a table, without its rows."""
    try:
        carried = json.loads(parquet.uid(path) if size else "[]")
    except ValueError:
        return {}
    known = [entry for entry in carried if isinstance(entry, dict) and entry.get("made_from")]
    return {entry["place"]: entry for entry in known}


@lru_cache(maxsize=1)
def _frames(path: Path, size: int, changed: int) -> dict[tuple[Any, ...], pd.DataFrame]:
    stored = parquet.read(path)
    if stored is None:
        return {}
    groups = stored[0].groupby([*KEY], dropna=False, sort=False, observed=True)
    return {
        tuple(None if pd.isna(value) else value for value in key): frame.reset_index(drop=True)
        for key, frame in groups
    }


def _key(entry: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(entry.get(name) for name in KEY)
