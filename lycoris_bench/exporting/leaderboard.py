"""A leaderboard over runs: one page that opens without a network, and beside it its data."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from lycoris_bench.analysis.columns import CRITERIA
from lycoris_bench.analysis.report.page import environment
from lycoris_bench.exporting import entry_file, run_values
from lycoris_bench.exporting.run_values import RunValues, Value
from lycoris_bench.exporting.unlike_runs import unlike
from lycoris_bench.files import disk, outputs
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import ABSENT, plural, significant

PAGE, DATA = "index.html", "leaderboard.json"
TEMPLATE = "leaderboard.html.j2"


def leaderboard(sources: Sequence[Path], out: Path, force: bool = False) -> dict[str, Any]:
    """Writes the page and its data to a folder; -> what it shows, and in words.

    A source is a run folder, or the file of another leaderboard. Runs that were measured unlike
    the first one are listed apart, each with what differs. BenchError: a source cannot be read or
    is given twice, or what is in `out` is not replaced without `force`; nothing is written then."""
    for name in (PAGE, DATA):
        outputs.check(out / name, [], force)
    runs = _named(_read(sources))
    first, *others = runs
    apart = {run.name: said for run in others if (said := unlike(first, run))}
    board = [run for run in runs if run.name not in apart]
    html, data = page(board, apart), entry_file.to_text(runs, apart)
    disk.write(out / DATA, data)
    disk.write(out / PAGE, html)
    count = sum(len(run.entries) for run in board)
    names = ", ".join(run.name for run in board)
    lines = [f"{out / PAGE}: {plural(count, 'configuration')} of {names}"]
    lines += [f"apart: {sentence(name, first.name, said)}" for name, said in apart.items()]
    return {
        "page": str(out / PAGE), "data": str(out / DATA), "entries": count,
        "runs": [run.name for run in board], "apart": apart, "text": "\n".join(lines),
    }  # fmt: skip


def sentence(name: str, first: str, said: str) -> str:
    """Why a run is listed apart."""
    return f"{name} cannot be compared with {first}, as these differ: {said}"


def _read(sources: Sequence[Path]) -> list[RunValues]:
    places = [source.resolve() for source in sources]
    if twice := next((place for place in places if places.count(place) > 1), None):
        raise BenchError(f"{twice} is given twice; give each run once")
    runs = []
    for source in sources:
        runs += entry_file.read(source) if source.is_file() else [run_values.read(source)]
    return runs


def _named(runs: Sequence[RunValues]) -> list[RunValues]:
    """Each with a name of its own: a second `demo` is `demo (2)`."""
    named: dict[str, RunValues] = {}
    for run in runs:
        name, number = run.name, 2
        while name in named:
            name, number = f"{run.name} ({number})", number + 1
        named[name] = replace(run, name=name)
    return [*named.values()]


def page(board: Sequence[RunValues], apart: dict[str, str]) -> str:
    """The page as HTML text; every name is escaped."""
    template = files("lycoris_bench.exporting").joinpath(TEMPLATE).read_text(encoding="utf-8")
    first = board[0]
    terms = {term.criterion: term for term in reversed(first.terms)}
    criteria = [criterion for criterion in CRITERIA if criterion.key in terms]
    references = [("base model", first.base), ("real images", first.real)]
    return environment().from_string(template).render(
        criteria=[
            {"heading": c.heading, "what": c.what, "better": terms[c.key].better} for c in criteria
        ],
        references=[
            {"name": name, "cells": [_cell(values.get(c.key)) for c in criteria]}
            for name, values in references
            if values
        ],
        rows=[
            {
                "run": run.name, "name": entry.name, "algorithm": entry.algorithm,
                "epoch": ABSENT if entry.epoch is None else entry.epoch, "seeds": entry.seeds,
                "cells": [_cell(entry.values.get(c.key)) for c in criteria],
            }
            for run in board
            for entry in run.entries
        ],
        apart=[sentence(name, first.name, said) for name, said in apart.items()],
        data=DATA,
    )  # fmt: skip


def _cell(value: Value | None) -> dict[str, Any]:
    if value is None:
        return {"text": ABSENT, "value": "", "n": ""}
    error = "" if value.stderr is None else f" ± {significant(value.stderr, 2)}"
    return {"text": f"{significant(value.value)}{error}", "value": value.value, "n": value.n}
