"""What the commands do, as data and text: opens a study on its run folder, runs a stage and
shows how far it is, and says what there is."""

import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from lycoris_bench.cli.progress import shown
from lycoris_bench.messages.errors import BenchError, doing
from lycoris_bench.messages.numbers import percent
from lycoris_bench.messages.printable import printable
from lycoris_bench.planning import memory, resolve, scored_rows
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.run import environment
from lycoris_bench.run import outcome as outcome_module
from lycoris_bench.run.store import Store
from lycoris_bench.scoring.scorer import without_number
from lycoris_bench.study import load as studies

LONGEST = 2000  # characters of one failure that are printed


@dataclass(frozen=True)
class Opened:
    """A study with its inputs read, and the run folder that is to hold it. `absent` says what
    is not there to run it with."""

    plan: Plan
    store: Store
    absent: tuple[str, ...] = ()


def open_study(
    file: str,
    run: Path | None,
    overrides: list[str],
    limit: int | None,
    batch_size: int | None,
    *,
    device: str = "auto",
    to_run: str | None = None,
) -> Opened:
    """Reads and checks everything before anything is done. What is only looked at (no stage is
    `to_run`) may lack its dataset, its base model and the libraries of its training."""
    if batch_size is not None:
        sizes = (f"{table}.batch_size={batch_size}" for table in ("sampling", "scoring"))
        overrides = [*overrides, *sizes]
    with doing(f"opening the study {file}"):
        study = studies.load(file, overrides)
        store = Store(run or Path("runs") / study.name)
        store.belongs_to(study.name)
        lacking = resolve.missing_libraries(study, environment.device(device))
        if to_run == "train" and lacking:
            raise BenchError("; ".join(lacking))
        absent: list[str] = []
        asked = plan(study, limit, None if to_run else absent)
        if problems := without_number(asked, store):
            raise studies.StudyError(study.name, problems)
        for doubt in asked.doubts:
            print(printable(f"warning: {doubt}", LONGEST), file=sys.stderr)
        return Opened(asked, store, (*absent, *lacking))


def stage(
    opened: Opened, name: str, device: str, workers: int | None, debug: bool
) -> outcome_module.Outcome:
    """Runs one stage of the line, and shows how far it is."""
    device = environment.device(device)
    about = environment.provenance(stage=name, device="" if name == "analyze" else device)
    opened.store.describe(opened.plan.study.toml(), about, scored_rows.identities(opened.plan))
    with shown() as progress, doing(f"running {name} in {opened.store.root}"):
        workers = workers or memory.workers(opened.plan, name, device)
        options = outcome_module.Options(device, workers, progress, debug)
        function = getattr(import_module(f"lycoris_bench.stages.{name}"), name)
        return function(opened.plan, opened.store, options)


def complain(name: str, outcome: outcome_module.Outcome) -> None:
    """Names what failed or is doubtful, on stderr."""
    for item, reason in outcome.warnings.items():
        print(printable(f"{name}: {item}: warning: {reason}", LONGEST), file=sys.stderr)
    for item, reason in outcome.failed.items():
        print(printable(f"{name}: {item}: {reason}", LONGEST), file=sys.stderr)


def summary(opened: Opened, name: str, outcome: outcome_module.Outcome) -> dict[str, Any]:
    """What a stage did, and where the result is."""
    complain(name, outcome)
    text = f"{name}: {outcome.done} done, {outcome.skipped} already there"
    if outcome.failed:
        text += f", {len(outcome.failed)} failed"
    place: Path | None = opened.store.root
    where = f"Result: {place}"
    if name == "analyze":
        place, where = _report(opened.store.report, bool(outcome.done))
    return {
        "stage": name, "done": outcome.done, "already_there": outcome.skipped,
        "failed": outcome.failed, "result": str(place) if place else None,
        "text": f"{text}. {where}",
    }  # fmt: skip


def _report(place: Path, written: bool) -> tuple[Path | None, str]:
    """The report, if the analysis has written one, and what to say of it."""
    if written:
        return place, f"Result: {place}"
    older = f"; {place} is of an earlier analysis" if place.exists() else ""
    return None, f"No report was written{older}"


def findings(opened: Opened) -> dict[str, Any]:
    """What the analysis found, in a few sentences, and where the report is."""
    place = opened.store.report
    found = opened.store.read_json(opened.store.findings) if place.exists() else None
    if not isinstance(found, dict):
        return {"report": None, "text": "No report was written."}
    said = [*found.get("sentences", []), *_learned(found), "", f"Report: {place}"]
    return {**found, "report": str(place), "text": "\n".join(said)}


def _learned(found: dict[str, Any]) -> list[str]:
    """How far each configuration came from the base model towards real images."""
    overall: dict[str, Any] = next(iter(found.get("categories", {}).values()), {})
    fidelity = overall.get("fidelity", {})
    shares = fidelity.get("distance_closed", {})
    said = ", ".join(f"{name} {percent(share['share'])}" for name, share in shares.items())
    if not said:
        return []
    kind, ceiling = fidelity["prompt_type"], found["ceiling"]["name"]
    return [f"Of the way from the base model to {ceiling} ({kind} prompts): {said}."]


def validated(opened: Opened) -> dict[str, Any]:
    """What was checked and found right, and what is not there."""
    plan = opened.plan
    examples = len(plan.data.examples)
    text = (
        f"{plan.study.name} is valid: {len(plan.study.configurations)} configurations, "
        f"{len(plan.trained)} checkpoints, {examples} training images of "
        f"{len(plan.data.concepts)} concepts"
    )
    text += "".join(f"\nmissing: {sentence}" for sentence in opened.absent)
    return {
        "study": plan.study.name,
        "configurations": [c.name for c in plan.study.configurations],
        "training_images": examples,
        "missing": list(opened.absent),
        "warnings": list(plan.doubts),
        "text": text,
    }
