"""The command line: parses arguments, calls a stage and prints where its result is. Importing
this module loads neither torch nor pandas, so that `--help` is instant."""

import copy
import functools
import gc
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import lycoris_bench
from lycoris_bench import registry
from lycoris_bench.cli import adapter, data, evaluate, export, stages, view, watch
from lycoris_bench.cli.exits import call
from lycoris_bench.cli.options import (
    NO_FILES,
    NONE,
    Debug,
    Device,
    From,
    Json,
    Limit,
    Rate,
    Run,
    Set,
    StudyFile,
)
from lycoris_bench.cli.printing import finish, say

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help="Which fine-tuning of a text-to-image model is more faithful, and which more "
    "controllable? A study fine-tunes, draws, scores and reports.",
)
app.add_typer(adapter.app, name="adapter")
app.add_typer(export.app, name="export")


stages.register(app)
evaluate.register(app)
watch.register(app)
view.register(app)


@app.command()
def plan(
    study: StudyFile,
    run: Run = None,
    set_: Set = NONE,
    limit: Limit = None,
    device: Device = "auto",
    rate: Rate = None,
    from_: From = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """What a study asks for, what is there, and what differences it can show."""
    from lycoris_bench.cli import session

    context = session.open_study(study, run, set_, limit, None, device=device)
    say(session.planned(context, device, rate, from_), as_json)


@app.command()
def validate(
    study: StudyFile,
    set_: Set = NONE,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Check a study file and all that it names; every mistake is reported at once."""
    from lycoris_bench.cli import session

    context = session.open_study(study, None, set_, None, None)
    finish(session.validated(context), 1 if context.absent else 0, as_json)


@app.command("ls")
def list_(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY|KIND",
            help="A study file; or adapters, presets, encoders, metrics, prompt-types.",
        ),
    ],
    run: Run = None,
    set_: Set = NONE,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """What is stored of each checkpoint of a study, or what a study file may name."""
    from lycoris_bench.cli import session
    from lycoris_bench.planning import overview
    from lycoris_bench.study import catalogue

    if study in catalogue.KINDS:
        say(catalogue.catalogue(study), as_json)
        return
    context = session.open_study(study, run, set_, None, None)
    say(overview.listing(context.plan, context.store, context.absent), as_json)


data.register(app)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(lycoris_bench.__version__)
        raise typer.Exit


def _plugins(files: list[Path]) -> list[Path]:
    for file in files:
        registry.load_plugin(file)
    return files


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
    plugin: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            callback=_plugins,
            is_eager=True,
            help="A Python file with adapters, encoders, metrics or model families of your own. "
            "It is run: give only files you trust.",
        ),
    ] = NO_FILES,
) -> None:
    pass


@functools.cache
def command() -> Any:
    """The command line, where `--plugin` may stand before or after any command's name."""
    root: Any = typer.main.get_command(app)
    [plugin] = [option for option in root.params if option.name == "plugin"]
    groups = [root]
    for group in groups:
        for subcommand in group.commands.values():
            subcommand.params.append(copy.copy(plugin))
            subcommand.params[-1].expose_value = False
            groups += [subcommand] if hasattr(subcommand, "commands") else []
    return root


def main() -> None:
    """Entry point: a mistake of the user is one sentence and exit status 2."""
    gc.set_threshold(50_000, 50, 100)  # imports make a million objects, all to be kept
    sys.exit(call(command()))


if __name__ == "__main__":
    main()
