"""The command `watch`: evaluates checkpoints as a trainer writes them."""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from lycoris_bench.cli.evaluate import (
    LONGEST,
    NO_NUMBERS,
    Base,
    ClassWord,
    Count,
    Description,
    Encoder,
    Heldout,
    Images,
    Prompts,
    Strength,
    Trigger,
    asked_of,
    name_of,
)
from lycoris_bench.cli.options import NONE, BatchSize, Debug, Device, KeepImages, Run, Set, Workers
from lycoris_bench.messages.errors import BenchError, doing
from lycoris_bench.messages.numbers import number, percent
from lycoris_bench.messages.printable import printable
from lycoris_bench.run import outcome
from lycoris_bench.run.outcome import WHOLE

Every = Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="Look so often.")]
Quiet = Annotated[
    float | None,
    typer.Option(min=0, metavar="SECONDS", help="End when nothing new came for so long."),
]


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command("watch")(watch)


def watch(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where a trainer writes.")],
    base: Base,
    images: Images,
    trigger: Trigger = None,
    class_word: ClassWord = None,
    description: Description = None,
    prompts: Prompts = None,
    heldout: Heldout = None,
    strength: Strength = NO_NUMBERS,
    encoder: Encoder = NONE,
    count: Count = None,
    every: Every = 30.0,
    quiet: Quiet = None,
    run: Run = None,
    set_: Set = NONE,
    device: Device = "auto",
    workers: Workers = None,
    batch_size: BatchSize = None,
    keep_images: KeepImages = outcome.KeepImages.SAMPLE,
    debug: Debug = False,
) -> None:
    """Evaluate checkpoints as a trainer writes them, a line each, with the best so far."""
    if not folder.is_dir():
        raise BenchError(f"{folder} is no folder; give the one that a trainer writes into")
    asked = asked_of(
        [str(folder)], base, images, trigger, class_word, description, prompts, heldout, strength,
        encoder, count, set_, batch_size,
    )  # fmt: skip
    place = run or Path("runs") / name_of([str(folder)])
    failed: dict[str, str] = {}
    said: set[str] = set()
    for checkpoints in _arriving(folder, every, quiet):
        with doing(f"watching {folder}"):
            found = _evaluated(
                replace(asked, checkpoints=checkpoints), place, device, workers, debug, keep_images,
                failed,
            )  # fmt: skip
        for line in _news(found, said):
            typer.echo(printable(line, LONGEST))
    typer.echo(f"Report: {place.resolve() / 'report' / 'index.html'}" if said else
               f"{folder}: no checkpoint was evaluated")  # fmt: skip
    if failed or not said:
        raise typer.Exit(1)


def _arriving(folder: Path, every: float, quiet: float | None) -> Iterator[list[str]]:
    """The whole checkpoints of a folder, each time that there are others than before."""
    from lycoris_bench.evaluation.found import whole_checkpoints

    before: list[str] = []
    news = time.monotonic()
    while True:
        there = whole_checkpoints(folder)
        if there and there != before:
            before = there
            yield there
            news = time.monotonic()
        elif quiet is not None and time.monotonic() - news >= quiet:
            return
        else:
            time.sleep(every)


def _evaluated(
    asked: Any, place: Path, device: str, workers: int | None, debug: bool, keep: Any,
    failed: dict[str, str],
) -> dict[str, Any]:  # fmt: skip
    """What is found of all checkpoints so far; failures are added, and said once."""
    from lycoris_bench.cli import session
    from lycoris_bench.stages.evaluation_context import open_evaluation

    with open_evaluation(asked, place, device=device, to_run=WHOLE) as opened:
        result = session.run_stage(opened.study, WHOLE, workers, debug, keep_images=keep)
        for name, reason in {**opened.evaluation.problems, **result.failed}.items():
            if failed.get(name) != reason:
                failed[name] = reason
                print(printable(f"{name}: {reason}", LONGEST), file=sys.stderr)
        found: dict[str, Any] = session.findings(opened.study).get("keeping") or {}
        return found


def _news(found: dict[str, Any], said: set[str]) -> Iterator[str]:
    """A line for each checkpoint that was not said yet, then the best so far."""

    rows = found.get("checkpoints", [])
    new = [row for row in rows if row["checkpoint"] not in said]
    for row in new:
        said.add(row["checkpoint"])
        parts = [
            f"{key} {number(row[key]['value'])}"
            + (f" ± {number(row[key]['stderr'])}" if "stderr" in row[key] else "")
            for key in found["best"]
            if key in row
        ]
        yield f"{row['checkpoint']}: {', '.join(parts)}"
    if new:
        best = "; ".join(f"{key} {names[0]}" for key, names in found["best"].items())
        front = [
            f"{r['checkpoint']} {percent(r['front'])}" for r in rows if r.get("front", 0) >= 0.5
        ]
        none = "" if found.get("gaining") else "; none is told from the base model in fidelity"
        yield (
            f"  best so far: {best}"
            + (f"; on the front: {', '.join(front)}" if front else "")
            + none
        )
