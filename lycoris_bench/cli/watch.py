"""The command `watch`: evaluates checkpoints as a trainer writes them."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from lycoris_bench.cli.evaluate import LONGEST
from lycoris_bench.cli.evaluating import Evaluating
from lycoris_bench.cli.signatures import with_options
from lycoris_bench.messages.errors import BenchError, doing
from lycoris_bench.messages.numbers import number, percent
from lycoris_bench.messages.printable import printable
from lycoris_bench.run.outcome import WHOLE

Every = Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="Look so often.")]
Quiet = Annotated[
    float | None,
    typer.Option(min=0, metavar="SECONDS", help="End when nothing new came for so long."),
]
Key = tuple[str, int | None, float]
"""Configuration, moment and strength."""


@dataclass
class Said:
    """What was said so far: the identity of each checkpoint's content, and the reason of each
    failure; `failing` are those of the latest look."""

    checkpoints: dict[Key, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    failing: dict[str, str] = field(default_factory=dict)

    def failed(self, failures: dict[str, str]) -> Iterator[str]:
        """A line for each failure that was not said yet."""
        self.failing = failures
        for name, reason in failures.items():
            if self.failures.get(name) != reason:
                self.failures[name] = reason
                yield f"{name}: {reason}"

    def news(self, found: dict[str, Any], contents: dict[Key, str]) -> Iterator[str]:
        """A line for each checkpoint that was not said yet with this content, then the best so
        far. `found` is what is known of all that were scored (analysis/keeping/)."""
        rows = found.get("checkpoints", [])
        new = [row for row in rows if self.checkpoints.get(_key(row)) != contents[_key(row)]]
        for row in new:
            replaced = "replaced, and evaluated anew: " * (_key(row) in self.checkpoints)
            self.checkpoints[_key(row)] = contents[_key(row)]
            parts = [
                f"{key} {number(row[key]['value'])}"
                + (f" ± {number(row[key]['stderr'])}" if "stderr" in row[key] else "")
                for key in found["best"]
                if key in row
            ]
            yield f"{row['checkpoint']}: {replaced}{', '.join(parts)}"
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


def _key(row: dict[str, Any]) -> Key:
    return row["configuration"], row["moment"], row["strength"]


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command("watch")(watch)


@with_options(Evaluating)
def watch(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where a trainer writes.")],
    told: Evaluating,
    every: Every = 30.0,
    quiet: Quiet = None,
) -> None:
    """Evaluate checkpoints as a trainer writes them, a line each, with the best so far."""
    if not folder.is_dir():
        raise BenchError(f"{folder} is no folder; give the one that a trainer writes into")
    place = told.folder([str(folder)])
    said = Said()
    try:
        for checkpoints in arriving(folder, every, quiet):
            with doing(f"watching {folder}"):
                found, contents = _evaluated(told, checkpoints, place, said)
            for line in said.news(found, contents):
                typer.echo(printable(line, LONGEST))
    finally:  # after Ctrl-C, too
        _name_unfinished(folder)
    done = bool(said.checkpoints)
    typer.echo(f"Report: {place.resolve() / 'report' / 'index.html'}" if done else
               f"{folder}: no checkpoint was evaluated")  # fmt: skip
    if said.failing or not done:
        raise typer.Exit(1)


def arriving(folder: Path, every: float, quiet: float | None) -> Iterator[list[str]]:
    """The whole checkpoints of a folder, each time that one is new or was replaced."""
    from lycoris_bench.evaluation.found import Stamp, whole_checkpoints

    before: dict[str, Stamp] = {}
    news = time.monotonic()
    while True:
        there = whole_checkpoints(folder)
        if there.items() - before.items():
            before = there
            yield [*there]
            news = time.monotonic()
        elif quiet is not None and time.monotonic() - news >= quiet:
            return
        else:
            time.sleep(every)


def _name_unfinished(folder: Path) -> None:
    from lycoris_bench.evaluation.found import unfinished

    for path in unfinished(folder) if folder.is_dir() else ():
        _tell(
            f"{path} never became whole, and is not evaluated: it is shorter than its header says"
        )


def _evaluated(
    told: Evaluating, checkpoints: list[str], place: Path, said: Said
) -> tuple[dict[str, Any], dict[Key, str]]:
    """What is found of all checkpoints so far, and the identity of each one's content; failures
    are said once."""
    from lycoris_bench.cli import session
    from lycoris_bench.evaluation.evaluation import NothingToEvaluate
    from lycoris_bench.stages.evaluation_context import open_evaluation

    asked = told.asked(checkpoints)
    try:
        with open_evaluation(asked, place, device=told.device, to_run=WHOLE) as opened:
            plan = opened.study.plan
            result = session.run_stage(
                opened.study, WHOLE, told.workers, told.debug, keep_images=told.keep_images
            )
            for line in said.failed({**opened.evaluation.problems, **result.failed}):
                _tell(line)
            found: dict[str, Any] = session.findings(opened.study).get("keeping") or {}
    except NothingToEvaluate as error:  # others may come
        for line in said.failed(error.left_out):
            _tell(line)
        return {}, {}
    drawn = plan.checkpoints
    return found, {(c.configuration.name, c.epoch, c.strength): plan.drawn_uid(c) for c in drawn}


def _tell(text: str) -> None:
    print(printable(text, LONGEST), file=sys.stderr)
