"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from lycoris_bench.run import outcome

NONE: list[str] = []
NO_FILES: list[Path] = []
StudyFile = Annotated[
    str, typer.Argument(metavar="STUDY", help="A study file, or package:configs/demo.toml.")
]
StudyOrRun = Annotated[
    str, typer.Argument(metavar="STUDY|RUN", help="A study file, or a run folder as it is.")
]
Run = Annotated[
    Path | None, typer.Option("--run", metavar="DIR", help="Run folder (default: runs/NAME).")
]
SET = typer.Option("--set", metavar="KEY=VALUE", help="Override a key: training.batch_size=4.")
Set = Annotated[list[str], SET]
Limit = Annotated[
    int | None, typer.Option("--limit", min=1, help="Only the first so many checkpoints.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda (every GPU) or cuda:N (one).")]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="Processes (default: one a core, if the memory is enough, or one a GPU)."
    ),
]
Launcher = Annotated[
    outcome.Launcher,
    typer.Option(help="Where workers run: on this machine, or on those of a Ray cluster."),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Of the Ray cluster: auto for the one this machine belongs to, or HOST:PORT; "
        "default: one of this machine alone.",
    ),
]
Require = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="Only machines of the cluster with this kind of accelerator or resource: H100.",
    ),
]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Images drawn or scored at once.")]
Rate = Annotated[
    str | None,
    typer.Option(metavar="STEPS,IMAGES", help="Training steps and images a second: 7,4."),
]
From = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="RUN",
        help="Expect the noise of the scores in this run folder (default: the published noise).",
    ),
]
AlsoScored = Annotated[
    bool,
    typer.Option(
        "--also-scored",
        help="Also for checkpoints that are scored, which need neither weights "
        "nor images any more.",
    ),
]
KeepImages = Annotated[
    outcome.KeepImages,
    typer.Option(
        help="Of the images drawn here, once they are scored; sample: the first of each "
        "set, and what the report shows."
    ),
]
KeepCheckpoints = Annotated[
    outcome.KeepCheckpoints,
    typer.Option(help="Of the weights trained here, once they are scored; last: the last epoch's."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Tracebacks instead of sentences.")]


def batch_sizes(size: int | None) -> list[str]:
    """The keys that `--batch-size` overrides, as `--set` takes them."""
    tables = ("sampling", "scoring") if size is not None else ()
    return [f"{table}.batch_size={size}" for table in tables]
