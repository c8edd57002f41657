"""Does anything that happens to a run change its values? One command does each fault to a tiny
study, types the command again, and compares with the run that nothing happened to.

    python -m benchmarks.faults                    # all of it: 20 minutes on two idle cores
    python -m benchmarks.faults --only "Ray"       # those whose name has these words
    python -m benchmarks.faults --list

Processes are killed, stopped or out of memory at named moments, on this machine and on a Ray
cluster of three nodes on it; disks are full or read-only; stored files are deleted, cut short, or
have a flipped bit. A row says how many rows / images / weights differ, which must be 0 / 0 / 0; the
seconds that were lost against the undisturbed run; the exit status of each command, below 0 for the
signal that ended it; and what was said. Root may mount, which a full disk and a read-only folder
need. Exit status 1: something differs, or was used or left damaged in silence."""

import argparse
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # worker processes import this file, and nothing that they do not need
    from benchmarks.fault_campaign.fault import Fault, Result

HEAD = ("where", "fault", "moment", "changed", "s lost", "status", "said")


def main(words: Sequence[str] | None = None) -> int:
    """Does the faults, and prints a row for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", default=[], help="words of a fault's name")
    parser.add_argument("--list", action="store_true", help="name the faults, and do none")
    parser.add_argument("--out", type=Path, help="a file for the table, too")
    asked = parser.parse_args(words)
    chosen = [fault for fault in faults() if chosen_by(asked.only, fault.name)]
    if asked.list or not chosen:
        print("\n".join(fault.name for fault in chosen or faults()))
        return 0 if chosen else 2
    began, results = time.monotonic(), []
    say("| " + " | ".join(HEAD) + " |", asked.out, new=True)
    say("|" + "---|" * len(HEAD), asked.out)
    for result in done(chosen):
        results.append(result)
        cells = (cell.replace("|", "/").replace("\n", " ") for cell in result.cells())
        say("| " + " | ".join(cells) + " |", asked.out)
    broken = [result.fault.name for result in results if not result.holds]
    skipped = sum(result.changes is None for result in results)
    print(
        f"\n{len(results)} faults, {skipped} skipped, {len(broken)} broke the promise, in "
        f"{(time.monotonic() - began) / 60:.0f} min on {platform.machine()}, Python "
        f"{platform.python_version()}"
    )
    for name in broken:
        print(f"BROKEN: {name}")
    return 1 if broken else 0


def faults() -> "list[Fault]":
    """All faults, in the order of the table."""
    from benchmarks.fault_campaign import clusters, damage, disks, kills

    return [*kills.faults(), *clusters.faults(), *disks.faults(), *damage.faults()]


def chosen_by(words: Sequence[str], name: str) -> bool:
    return not words or any(word.lower() in name.lower() for word in words)


def done(chosen: "Sequence[Fault]") -> "Iterator[Result]":
    """Does faults, each to a run of its own; yields what came of each."""
    from benchmarks.fault_campaign.fault import suffer
    from benchmarks.fault_campaign.scene import Scene, Stage

    folder = Path(tempfile.mkdtemp(prefix="faults-")).resolve()
    stage = Stage.built(folder)
    try:
        for number, fault in enumerate(chosen):
            yield suffer(fault, stage, Scene(stage, folder / f"run-{number}"))
    finally:
        stage.close()
        shutil.rmtree(folder, ignore_errors=True)


def say(line: str, place: Path | None, new: bool = False) -> None:
    print(line, flush=True)
    if place:
        with place.open("w" if new else "a", encoding="utf-8") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
