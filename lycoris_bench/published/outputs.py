"""What an import may write over: its own files, and nothing else unless it is told to."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lycoris_bench.files import disk
from lycoris_bench.published.renames import PublishedError

MARK = "# written by lycoris-bench import-published "
SHOWN = 3
PROVENANCE = "provenance.json"
RUN_FILES = ("metrics.parquet", "metrics.csv", "study.toml", PROVENANCE)


def marked(text: str) -> str:
    """The text under a first line, a comment, that says who wrote it, and whether it is unchanged.

    >>> marked("a boat\\n").splitlines()
    ['# written by lycoris-bench import-published ef2ff10a', 'a boat']
    """
    return f"{MARK}{_digest(text)}\n{text}"


def refuse_foreign(files: Iterable[Path], runs: Iterable[Path], force: bool) -> None:
    """PublishedError where a file or a run's folder is there and is not what an import wrote, or
    was changed since; with `force` only where it is no plain file."""
    files, runs = list(files), list(runs)
    for path in (*files, *(run / name for run in runs for name in RUN_FILES)):
        disk.refuse_special(path)
    if force:
        return
    foreign = [path for path in files if path.exists() and not _ours(path)]
    for run in runs:
        foreign += _foreign(run)
    if foreign:
        more = f" and {len(foreign) - SHOWN} more" if len(foreign) > SHOWN else ""
        raise PublishedError(
            f"{', '.join(map(str, foreign[:SHOWN]))}{more}: there already, and not as an import "
            "writes it; give another --out, or --force to replace it"
        )


def write(files: Mapping[Path, str]) -> None:
    """Texts of the import, each a whole file with its mark."""
    for path, text in files.items():
        disk.write(path, marked(text))


def _ours(path: Path) -> bool:
    try:
        first, _, rest = disk.read_text(path).partition("\n")
    except disk.FileError:
        return False
    return first == f"{MARK}{_digest(rest)}"


def write_run(run: Path, files: Mapping[str, bytes], provenance: Mapping[str, Any]) -> None:
    """The files of a run's folder, and in its provenance, under "published", a digest of each.

    Provenance goes first: what an import that was stopped has written is known again."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    about = {**provenance, "published": {**provenance["published"], "files": digests}}
    about["published"]["seal"] = _seal(about)
    disk.write(run / PROVENANCE, json.dumps(about, indent=1, ensure_ascii=False))
    for name, data in files.items():
        disk.write(run / name, data)


def _foreign(run: Path) -> list[Path]:
    """The files of a run's folder that no import wrote, or that were changed since."""
    there = [run / name for name in RUN_FILES if (run / name).exists()]
    try:
        about = disk.read_json(run / PROVENANCE)
        unchanged = about["published"]["seal"] == _seal(about)
        digests = dict(about["published"]["files"])
    except (disk.FileError, KeyError, TypeError, ValueError, AttributeError):
        return there
    return [
        path
        for path in there
        if not (
            unchanged
            if path.name == PROVENANCE
            else hashlib.sha256(disk.read_bytes(path)).hexdigest() == digests.get(path.name)
        )
    ]


def _seal(about: Mapping[str, Any]) -> str:
    """Digest of a provenance without its own seal."""
    published = {key: value for key, value in about["published"].items() if key != "seal"}
    return _digest(json.dumps({**about, "published": published}, sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
