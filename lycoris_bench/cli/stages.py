"""The commands that work on a study: its four stages, `run` and `demo`."""

import inspect
from pathlib import Path

import typer

from lycoris_bench.cli import samples
from lycoris_bench.cli.options import (
    NONE,
    Address,
    AlsoScored,
    BatchSize,
    Debug,
    Device,
    DryRun,
    Json,
    KeepCheckpoints,
    KeepImages,
    Launcher,
    Limit,
    Rate,
    Require,
    Run,
    Set,
    StudyFile,
    StudyOrRun,
    Workers,
)
from lycoris_bench.cli.printing import finish, say
from lycoris_bench.messages.errors import BenchError, doing
from lycoris_bench.run import outcome
from lycoris_bench.run.cluster import cluster_of
from lycoris_bench.run.outcome import WHOLE

DEMO = "package:configs/demo.toml"
PURPOSES = {
    WHOLE: "The whole line: train, draw, score and analyze what is missing.",
    "train": "Fine-tune the base model under every configuration and seed.",
    "generate": "Draw the images of every checkpoint, and of the base model.",
    "score": "Turn the images into rows of the metric table: a study's, or those of any folder.",
    "analyze": "Rank, explain and report: writes report/index.html.",
}
SPREAD = (WHOLE, "train", "generate", "score")
OWN = {
    "also_scored": ("train", "generate"),
    "keep_images": (WHOLE,),
    "keep_checkpoints": (WHOLE,),
    "launcher": SPREAD,
    "address": SPREAD,
    "require": SPREAD,
}
"""Options that some of these commands alone have."""


def register(app: typer.Typer) -> None:
    """Adds the commands to the program."""
    app.command()(demo)
    for name, purpose in PURPOSES.items():
        _add(app, name, purpose)


def _add(app: typer.Typer, name: str, purpose: str) -> None:
    def command(
        study: StudyFile,
        run: Run = None,
        set_: Set = NONE,
        limit: Limit = None,
        device: Device = "auto",
        workers: Workers = None,
        launcher: Launcher = outcome.Launcher.LOCAL,
        address: Address = None,
        require: Require = None,
        batch_size: BatchSize = None,
        keep_images: KeepImages = outcome.KeepImages.SAMPLE,
        keep_checkpoints: KeepCheckpoints = outcome.KeepCheckpoints.ALL,
        also_scored: AlsoScored = False,
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
        from lycoris_bench.stages.keeping import most_bytes

        if rate and not dry_run:
            raise BenchError("--rate goes with --dry-run: a stage takes the time that it takes")
        context = session.open_study(
            study, run, set_, limit, batch_size, device=device,
            to_run=None if dry_run else name, cluster=cluster_of(launcher, address, require),
        )  # fmt: skip
        if dry_run:
            sampled = most_bytes(context.plan) if name == WHOLE else None
            found = overview.overview(
                context.plan, context.store, context.absent, rate=rate, sampled=sampled,
                asked_workers=workers,
            )  # fmt: skip
            if context.cluster and name == WHOLE:
                from lycoris_bench.stages.asked_of_cluster import asked_of_cluster

                asked = asked_of_cluster(context)
                found = {**found, "cluster": asked, "text": f"{found['text']}\n{asked.pop('text')}"}
            say(found, as_json)
            return
        with context.store.lock():
            result = session.run_stage(
                context, name, workers, debug, also_scored=also_scored,
                keep_images=keep_images, keep_checkpoints=keep_checkpoints,
            )  # fmt: skip
        finish(session.summary(context, name, result), result.status, as_json)

    if name == "analyze":
        command.__annotations__["study"] = StudyOrRun
    own = inspect.signature(command)
    kept = [p for p in own.parameters.values() if name in OWN.get(p.name, (name,))]
    command.__signature__ = own.replace(parameters=kept)  # type: ignore[attr-defined]  # typer reads it
    made = samples.with_folders(command) if name == "score" else command
    made.__doc__ = purpose
    app.command(name)(made)


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
        result = run_tables.analyze_folder(store)
    session.print_problems("analyze", result)
    text = f"analyze: 1 done. Result: {store.report}"
    say({"stage": "analyze", "done": 1, "result": str(store.report), "text": text}, as_json)


def demo(
    run: Run = None,
    device: Device = "auto",
    workers: Workers = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """A whole study in a miniature world, in a few minutes on a laptop."""
    from lycoris_bench.cli import session

    context = session.open_study(DEMO, run, [], None, None, device=device, to_run=WHOLE)
    with context.store.lock():
        result = session.run_stage(context, WHOLE, workers, debug, keep_images="all")
        session.print_problems(WHOLE, result)
    finish(session.findings(context), result.status, as_json)
