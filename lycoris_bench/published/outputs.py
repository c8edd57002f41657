"""What an import may write over: its own files, and nothing else unless it is told to."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from lycoris_bench import disk
from lycoris_bench.published.names import PublishedError

MARK = "# written by lycoris-bench import-published "
SHOWN = 3
RUN_FILES = ("metrics.parquet", "metrics.csv", "study.toml", "provenance.json")


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
        there = [run / name for name in RUN_FILES if (run / name).exists()]
        foreign += [] if _is_import(run) else there
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


def _is_import(run: Path) -> bool:
    try:
        return "published" in json.loads((run / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
