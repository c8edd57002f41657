"""`lycoris-bench export ...`: a run's numbers for others. Parses arguments, calls one function and
prints or writes its result."""

from pathlib import Path
from typing import Annotated

import typer

from lycoris_bench.cli.options import Debug, Json
from lycoris_bench.cli.printing import finish
from lycoris_bench.messages.printable import lines, printable

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A run's numbers for a model card, in the paper's columns, or as a leaderboard.",
)
Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder that is scored.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


@app.command()
def card(
    run: Run,
    configuration: Annotated[
        str | None,
        typer.Argument(metavar="CONFIGURATION", help="One of the run's (all of them)."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FILE", help="Where it is written (it is printed)."),
    ] = None,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """The front matter of a model card of the Hugging Face Hub: model-index, a run's numbers."""
    from lycoris_bench.exporting.card import card as made
    from lycoris_bench.files import outputs

    if out:
        outputs.check(out, [run], force)
    text = made(run, configuration)
    if out is None:
        typer.echo(lines(text), nl=False)
        return
    with outputs.whole_file(out, force) as file:
        file.write(text.encode())
    typer.echo(f"written: {printable(out)}")


@app.command("csv")
def csv_(
    run: Run,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="DIR",
            help="Where metrics.csv and config_mapping.csv are written (the former is printed).",
        ),
    ] = None,
    force: Force = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """A run's metric table with the paper's column names, as import-published reads them."""
    from lycoris_bench.files import disk, outputs
    from lycoris_bench.published.export_table import MAPPING, METRICS, paper_table

    places = {name: out / name for name in (METRICS, MAPPING)} if out else {}
    for place in places.values():
        outputs.check(place, [run], force)
    table = paper_table(run)
    if table.note:
        typer.echo(f"warning: {printable(table.note, len(table.note))}", err=True)
    if out is None:
        typer.echo(table.metrics, nl=False)
        return
    disk.write(places[METRICS], table.metrics)
    disk.write(places[MAPPING], table.mapping)
    typer.echo(f"written: {printable(places[METRICS])} and {printable(places[MAPPING])}")


@app.command()
def leaderboard(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Run folders, or leaderboard.json of another leaderboard; the first one says "
            "what the others have to be measured like.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="DIR", help="Where page and data are written.")
    ],
    force: Force = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """One page over several runs; runs that were measured otherwise are listed apart."""
    from lycoris_bench.exporting.leaderboard import leaderboard as made

    result = made(runs, out, force)
    finish(result, 1 if result["apart"] else 0, as_json)
