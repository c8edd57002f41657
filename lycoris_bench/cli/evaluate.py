"""The command `eval`: checkpoints that others made, evaluated in one go."""

import sys
from typing import Annotated, Any

import typer

from lycoris_bench.cli.evaluating import Evaluating
from lycoris_bench.cli.options import DryRun, Json, Limit, Rate
from lycoris_bench.cli.printing import finish
from lycoris_bench.cli.signatures import with_options
from lycoris_bench.messages.errors import BenchError, doing
from lycoris_bench.messages.numbers import plural
from lycoris_bench.messages.printable import printable
from lycoris_bench.run.outcome import WHOLE

Checkpoints = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE|DIR...", help="Adapter files, PEFT folders, whole models, or folders of them."
    ),
]
LONGEST = 2000


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command("eval")(evaluate)


@with_options(Evaluating)
def evaluate(
    checkpoints: Checkpoints,
    told: Evaluating,
    limit: Limit = None,
    dry_run: DryRun = False,
    rate: Rate = None,
    as_json: Json = False,
) -> None:
    """Which of these checkpoints to keep, at which strength: draws, scores and compares them."""
    from lycoris_bench.cli import session
    from lycoris_bench.stages.evaluation_context import open_evaluation

    if rate and not dry_run:
        raise BenchError("--rate goes with --dry-run: drawing takes the time that it takes")
    with (
        doing("evaluating checkpoints"),
        open_evaluation(
            told.asked(checkpoints), told.folder(checkpoints), device=told.device,
            to_run=None if dry_run else WHOLE, limit=limit,
        ) as opened,
    ):  # fmt: skip
        made, context = opened.evaluation, opened.study
        _announce(opened)
        if dry_run:
            planned = session.planned_drawing(context, told.device, rate, told.workers)
            finish(planned, 1 if made.problems else 0, as_json)
            return
        result = session.run_stage(
            context, WHOLE, told.workers, told.debug, keep_images=told.keep_images
        )
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
        _tell(f"left out: {path}: {reason}")


def _tell(text: str) -> None:
    print(printable(text, LONGEST), file=sys.stderr)
