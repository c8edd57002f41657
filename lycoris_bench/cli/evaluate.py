"""The command `eval`: checkpoints that others made, evaluated in one go."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lycoris_bench.cli.options import (
    NONE,
    BatchSize,
    Debug,
    Device,
    DryRun,
    Json,
    KeepImages,
    Limit,
    Rate,
    Run,
    Set,
    Workers,
)
from lycoris_bench.cli.printing import finish, say
from lycoris_bench.messages.errors import BenchError, doing
from lycoris_bench.messages.numbers import plural
from lycoris_bench.messages.printable import printable
from lycoris_bench.run import outcome
from lycoris_bench.run.outcome import WHOLE

Checkpoints = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE|DIR...", help="Adapter files, PEFT folders, whole models, or folders of them."
    ),
]
Base = Annotated[
    str, typer.Option(metavar="MODEL", help="The base model: a folder, a file or a hub id.")
]
Images = Annotated[
    str, typer.Option(metavar="DIR", help="Real images of what was taught, for one concept alone "
                      "or in folders category/class.")
]  # fmt: skip
Trigger = Annotated[
    str | None, typer.Option(metavar="WORD", help="The word that was taught: olis.")
]
ClassWord = Annotated[str | None, typer.Option(metavar="WORD", help="What it is: toy.")]
Description = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="What CLIP reads in place of both (default: the class)."),
]
Prompts = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|DIR",
        help="Prompts that ask for other contents, one a line, {} for the concept; or a prompt "
        "tree (default: shipped ones, by the class word).",
    ),
]
Strength = Annotated[
    list[float], typer.Option(metavar="NUMBER", help="Draw at this strength, too (default: 1).")
]
Encoder = Annotated[
    list[str],
    typer.Option(metavar="NAME", help="Score with this encoder (default: the paper's three)."),
]
Count = Annotated[
    int | None, typer.Option(min=2, help="Images of each concept and prompt type (default: 24).")
]
Heldout = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Real images that were not trained on: the ceiling."),
]
NO_NUMBERS: list[float] = []
LONGEST = 2000


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command("eval")(evaluate)


def evaluate(
    checkpoints: Checkpoints,
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
    run: Run = None,
    set_: Set = NONE,
    limit: Limit = None,
    device: Device = "auto",
    workers: Workers = None,
    batch_size: BatchSize = None,
    keep_images: KeepImages = outcome.KeepImages.SAMPLE,
    dry_run: DryRun = False,
    rate: Rate = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Which of these checkpoints to keep, at which strength: draws, scores and compares them."""
    from lycoris_bench.cli import session
    from lycoris_bench.stages.evaluation_context import open_evaluation

    if rate and not dry_run:
        raise BenchError("--rate goes with --dry-run: drawing takes the time that it takes")
    asked = asked_of(
        checkpoints, base, images, trigger, class_word, description, prompts, heldout, strength,
        encoder, count, set_, batch_size,
    )  # fmt: skip
    folder = run or Path("runs") / name_of(checkpoints)
    with (
        doing("evaluating checkpoints"),
        open_evaluation(
            asked, folder, device=device, to_run=None if dry_run else WHOLE, limit=limit
        ) as opened,
    ):
        made, context = opened.evaluation, opened.study
        _announce(opened)
        if dry_run:
            say(session.planned_drawing(context, device, rate), as_json)
            return
        result = session.run_stage(context, WHOLE, workers, debug, keep_images=keep_images)
        session.print_problems(WHOLE, result)
        said = session.findings(context)
    status = 1 if made.problems else result.status
    finish({**said, "left_out": made.problems, "unlike": made.unlike}, status, as_json)


def _announce(opened: Any) -> None:
    """Prints to stderr what is evaluated, what is left out, and what differs."""
    made, plan = opened.evaluation, opened.study.plan
    for training in made.trainings:
        moments = ", ".join(map(str, training.moments))
        when = f"{training.unit}s {moments}" if len(training.moments) > 1 else (
            f"{training.unit} {moments}" if moments else "one checkpoint")  # fmt: skip
        about = training.about
        size = f", dim {about.dim}" if about.dim else ""
        kind = "whole model" if training.checkpoints[-1].whole else about.algorithm
        _tell(f"{training.name}: {when} ({kind}{size})")
    drawn = plan.checkpoints
    several = plural(len(drawn) - 1, "checkpoint")
    images = sum(map(plan.image_count, drawn))
    _tell(f"drawn: {plural(images, 'image')} of {several} and of the base model")
    for sentence in (*made.notes, *plan.doubts):
        _tell(f"note: {sentence}")
    for sentence in made.unlike:
        _tell(f"warning: {sentence}")
    for path, reason in made.problems.items():
        _tell(f"left out: {path} {reason}")


def _tell(text: str) -> None:
    print(printable(text, LONGEST), file=sys.stderr)


def asked_of(
    checkpoints: list[str], base: str, images: str, trigger: str | None, class_word: str | None,
    description: str | None, prompts: str | None, heldout: str | None, strength: list[float],
    encoder: list[str], count: int | None, set_: list[str], batch_size: int | None,
) -> Any:  # fmt: skip
    """What a user typed, as the evaluation takes it."""
    from lycoris_bench.evaluation.concepts import Called
    from lycoris_bench.evaluation.evaluation import IMAGES, Asked

    sizes = [f"{table}.batch_size={batch_size}" for table in ("sampling", "scoring")]
    return Asked(
        checkpoints, base, images, heldout, Called(trigger, class_word, description), prompts,
        strength, encoder, count or IMAGES, [*set_, *(sizes if batch_size is not None else ())],
    )  # fmt: skip


def name_of(checkpoints: list[str]) -> str:
    """The name of the run folder where none is given: eval-, and what is evaluated."""
    import re

    first = Path(checkpoints[0]).resolve()
    name = first.name if first.is_dir() else first.stem
    return f"eval-{re.sub(r'[^A-Za-z0-9_.-]+', '-', name).strip('-.') or 'checkpoints'}"[:80]
