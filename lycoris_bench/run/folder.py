"""A run folder as a whole: the study it belongs to, its lock, and clean-up after a kill."""

import contextlib
import fcntl
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError

STUDY = "study.toml"
METRICS = "metrics.parquet"
PROVENANCE = "provenance"  # a folder; before 0.2, and of what was imported, a file: .json
FOLDERS = ("checkpoints", "features", "metrics", "analysis", "report", "gallery", "cut", PROVENANCE)


class StoreError(BenchError):
    """The run folder cannot be used; the message says why and what to do."""

    of_machine = True


@contextlib.contextmanager
def held(root: Path) -> Iterator[None]:
    """Locks the folder, which is made if it is missing, for this process. StoreError: another
    process holds it, or it cannot be written."""
    if kind := disk.never_written(root, folder=True):
        raise StoreError(f"run folder {root} is {kind}; choose another with --run")
    try:
        root.mkdir(parents=True, exist_ok=True)
        handle = _lock_file(root / ".lock")
    except OSError as error:
        raise StoreError(
            f"run folder {root} cannot be written ({error.strerror}); choose another with --run"
        ) from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            raise StoreError(
                f"run folder {root} is in use by process {handle.read().strip() or '?'}; "
                "wait for it, or choose another with --run"
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def _lock_file(path: Path) -> IO[str]:
    """Opens the lock file; a link is not followed, since its target would be written to."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    handle = os.fdopen(descriptor, "r+" if stat.S_ISREG(os.fstat(descriptor).st_mode) else "r")
    if handle.mode == "r":
        handle.close()
        raise StoreError(f"{path} is no plain file; remove it, or choose another folder with --run")
    return handle


def belongs_to(root: Path, study: str, recorded: Sequence[str] = ()) -> None:
    """StoreError: the folder holds the run of another study, or files that are no run. What the
    last record of a command says stands in for a study file that is lost or damaged."""
    if root.exists() and not root.is_dir():
        raise StoreError(f"{root} is no folder; choose another with --run")
    if study in recorded[:1]:
        return
    try:
        found = disk.read_toml(root / STUDY).get("name")
    except disk.FileError:
        found = None
    if found is None:
        if _holds_other_things(root):
            raise StoreError(
                f"{root} holds other things and no run of lycoris-bench ({STUDY} is missing or "
                "broken); choose another folder with --run"
            ) from None
        return
    if found != study:
        raise StoreError(
            f"run folder {root} belongs to the study '{found}', not to '{study}'; "
            "choose another with --run"
        )


def must_be_run(root: Path) -> None:
    """StoreError: the folder holds neither a study nor scores."""
    if not (root / STUDY).exists() and not (root / METRICS).exists():
        inside = sorted(path.parent.name for path in root.glob(f"*/{METRICS}"))
        runs = f"; it has the runs: {', '.join(inside)}" if inside else ""
        raise StoreError(f"{root} is no run folder: it holds no {STUDY} and no {METRICS}{runs}")


def sweep(root: Path) -> None:
    """Removes half-written files of a killed process from a run folder. Among images, which may
    be millions, `planning.status` does so when it lists them."""
    described = (root / PROVENANCE).is_dir() or (root / f"{PROVENANCE}.json").is_file()
    if not described or not (root / STUDY).is_file():
        return
    remove_partial(root.glob(f"*{disk.PARTIAL}"))
    for folder in FOLDERS:
        remove_partial((root / folder).rglob(f"*{disk.PARTIAL}"))


def remove_partial(paths: Iterable[Path]) -> None:
    """Removes those files whose name is one of this program's temporary names."""
    ours = re.compile(rf"\.\d+{re.escape(disk.PARTIAL)}$")
    for leftover in paths:
        if ours.search(leftover.name) and leftover.is_file():
            leftover.unlink(missing_ok=True)


def _holds_other_things(root: Path) -> bool:
    try:
        return any(not path.name.startswith(".") for path in root.iterdir())
    except OSError:
        return False  # it is missing; or it is no folder, which locking it reports
