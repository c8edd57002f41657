"""`lycoris-bench view`: opens the page of a run in a browser."""

import threading
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from lycoris_bench.cli.options import Debug, Json, Run
from lycoris_bench.cli.printing import say

RunOrStudy = Annotated[
    str,
    typer.Argument(metavar="RUN|STUDY", help="A run folder, or a study file whose run it is."),
]
NoOpen = Annotated[bool, typer.Option("--no-open", help="Print the address, and open no browser.")]
Serve = Annotated[
    bool,
    typer.Option(
        "--serve",
        help="Over a server on 127.0.0.1 until Ctrl-C: for a browser that may not read local "
        "files, or on another machine through a tunnel.",
    ),
]


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command()(view)


def view(
    run_or_study: RunOrStudy,
    run: Run = None,
    serve: Serve = False,
    no_open: NoOpen = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Open the page of a run: its findings, explorer and pictures."""
    page = _page(run_or_study, run)
    if not serve:
        _show(page.as_uri(), page, no_open, as_json)
        return
    from lycoris_bench.run.served import Server
    from lycoris_bench.run.signals import Terminated

    with Server(page.parents[1], page) as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()  # a browser in the terminal holds this one
        try:
            _show(server.address, page, no_open, as_json, "\nStop it with Ctrl-C.")
            serving.join()
        except (KeyboardInterrupt, Terminated):  # both are how a server ends, and nothing is lost
            server.shutdown()


def _page(run_or_study: str, run: Path | None) -> Path:
    """The page of a run folder, or of the run of a study. BenchError: there is none."""
    from lycoris_bench.files import disk
    from lycoris_bench.messages.errors import BenchError
    from lycoris_bench.run.folder import StoreError, must_be_run
    from lycoris_bench.run.store import Store
    from lycoris_bench.study.load import StudyError, load
    from lycoris_bench.study.places import locate

    folder = disk.expand(run_or_study)
    if not locate(run_or_study, Path()).exists():
        raise StudyError(run_or_study, ["there is no such study file or run folder"])
    for inside in (folder.parent, folder.parent.parent):  # its study.toml, or the page itself
        there = Store(inside)
        if folder in (there.study, there.report) and there.report.is_file():
            folder = inside
    if folder.is_dir():
        if run is not None:
            raise BenchError(f"{run_or_study} is a run folder: --run goes with a study file")
        must_be_run(folder)
        store = Store(folder)
        made_by = f"lycoris-bench analyze {run_or_study}"
    else:
        study = load(run_or_study)
        store = Store(Path("runs") / study.name if run is None else run)
        store.belongs_to(study.name)
        made_by = f"lycoris-bench run {run_or_study}"
    if disk.kind_of(store.report) or not store.report.is_file():
        raise StoreError(f"{store.report} is missing; run '{made_by}', which writes it")
    return store.report


def _show(address: str, page: Path, no_open: bool, as_json: bool, more: str = "") -> None:
    """Prints the address, and opens it unless there is no browser or none is wanted."""
    opened = not no_open and webbrowser.open(address)
    text = f"Opened {address}" if opened else f"Open this in a browser: {address}"
    say({"address": address, "page": str(page), "opened": opened, "text": text + more}, as_json)
