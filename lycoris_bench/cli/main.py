"""The command line: parses arguments, calls a stage and prints where its result is. Importing
this module loads neither torch nor pandas, so that `--help` is instant."""

import copy
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import lycoris_bench
from lycoris_bench import registry
from lycoris_bench.cli import adapter, data
from lycoris_bench.cli.exits import call
from lycoris_bench.cli.options import (
    NO_FILES,
    NONE,
    BatchSize,
    Debug,
    Device,
    DryRun,
    From,
    Json,
    Limit,
    Rate,
    Run,
    Set,
    StudyFile,
    StudyOrRun,
    Workers,
)
from lycoris_bench.messages.errors import BenchError, doing
from lycoris_bench.messages.printable import lines
from lycoris_bench.run.outcome import STAGES

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help="Which fine-tuning of a text-to-image model is more faithful, and which more "
    "controllable? A study fine-tunes, draws, scores and reports.",
)
app.add_typer(adapter.app, name="adapter")
DEMO = "package:configs/demo.toml"


def _stage(name: str, purpose: str) -> None:
    def command(
        study: StudyFile,
        run: Run = None,
        set_: Set = NONE,
        limit: Limit = None,
        device: Device = "auto",
        workers: Workers = None,
        batch_size: BatchSize = None,
        dry_run: DryRun = False,
        rate: Rate = None,
        as_json: Json = False,
        debug: Debug = False,
    ) -> None:
        if name == "analyze" and Path(study).is_dir():
            _analyze_folder(
                Path(study), bool(run or set_ or limit or batch_size or dry_run or rate), as_json
            )
            return
        from lycoris_bench.cli import session
        from lycoris_bench.planning import overview

        if rate and not dry_run:
            raise BenchError("--rate goes with --dry-run: a stage takes the time that it takes")
        context = session.open_study(
            study, run, set_, limit, batch_size, device=device, to_run=None if dry_run else name
        )
        if dry_run:
            found = overview.overview(context.plan, context.store, context.absent, rate=rate)
            _say(found, as_json)
            return
        with context.store.lock():
            result = session.run_stage(context, name, workers, debug)
        _finish(session.summary(context, name, result), result.status, as_json)

    if name == "analyze":
        command.__annotations__["study"] = StudyOrRun
    command.__doc__ = purpose
    app.command(name)(command)


def _analyze_folder(folder: Path, narrowed: bool, as_json: bool) -> None:
    from lycoris_bench.analysis import run_tables
    from lycoris_bench.cli import session
    from lycoris_bench.run.folder import must_be_run
    from lycoris_bench.run.store import Store

    if narrowed:
        raise BenchError(
            f"{folder} is a run folder, which is analyzed as it is: --run, --set, --limit, "
            "--batch-size, --dry-run and --rate go with a study file"
        )
    must_be_run(folder)  # before the lock, which is a file in it
    store = Store(folder)
    with store.lock(), doing(f"analyzing {folder}"):
        outcome = run_tables.analyze_folder(store)
    session.print_problems("analyze", outcome)
    text = f"analyze: 1 done. Result: {store.report}"
    _say({"stage": "analyze", "done": 1, "result": str(store.report), "text": text}, as_json)


_stage("train", "Fine-tune the base model under every configuration and seed.")
_stage("generate", "Draw the images of every checkpoint, and of the base model.")
_stage("score", "Turn the images into rows of the metric table.")
_stage("analyze", "Rank, explain and report: writes report/index.html.")


@app.command()
def demo(
    run: Run = None,
    device: Device = "auto",
    workers: Workers = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """A whole study in a miniature world, in a few minutes on a laptop."""
    from lycoris_bench.cli import session

    context = session.open_study(DEMO, run, [], None, None, device=device, to_run="train")
    status = 0
    with context.store.lock():
        for name in STAGES:
            result = session.run_stage(context, name, workers, debug)
            status = max(status, result.status)
            session.print_problems(name, result)
    _finish(session.findings(context), status, as_json)


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
    _say(session.planned(context, device, rate, from_), as_json)


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
    _finish(session.validated(context), 1 if context.absent else 0, as_json)


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
        _say(catalogue.catalogue(study), as_json)
        return
    context = session.open_study(study, run, set_, None, None)
    _say(overview.listing(context.plan, context.store, context.absent), as_json)


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


def _say(result: dict[str, Any], as_json: bool) -> None:
    """Prints a result to stdout: as JSON, or as its text."""
    text = result.pop("text")
    typer.echo(json.dumps(result, indent=1, ensure_ascii=False) if as_json else lines(text))


def _finish(result: dict[str, Any], status: int, as_json: bool) -> None:
    _say(result, as_json)
    if status:
        raise typer.Exit(status)


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
    sys.exit(call(command()))


if __name__ == "__main__":
    main()
