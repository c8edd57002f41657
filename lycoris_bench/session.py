"""What the commands do, as data and text: opens a study on its run folder, runs a stage under a
progress bar, and says what there is."""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lycoris_bench import runtime
from lycoris_bench import study as studies
from lycoris_bench.estimate import disk_bytes, seconds
from lycoris_bench.plan import Plan, plan
from lycoris_bench.store import Store
from lycoris_bench.vocabulary import Checkpoint


@dataclass(frozen=True)
class Opened:
    """A study with its inputs read, and the run folder that is to hold it."""

    plan: Plan
    store: Store


def open_study(
    file: str, run: Path | None, overrides: list[str], limit: int | None, batch_size: int | None
) -> Opened:
    """Reads and checks everything before anything is done."""
    if batch_size is not None:
        sizes = (f"{table}.batch_size={batch_size}" for table in ("sampling", "scoring"))
        overrides = [*overrides, *sizes]
    study = studies.load(file, overrides)
    store = Store(run or Path("runs") / study.name)
    store.belongs_to(study.name)
    return Opened(plan(study, limit), store)


def stage(
    opened: Opened, name: str, device: str, workers: int | None, debug: bool
) -> runtime.Outcome:
    """Runs one stage of the line, under a progress bar where stderr is a terminal."""
    device = runtime.device(device)
    opened.store.describe(opened.plan.study.toml(), runtime.provenance())
    with _bar() as progress:
        options = runtime.Options(
            device, workers or runtime.default_workers(device), progress, debug
        )
        function = getattr(import_module(f"lycoris_bench.{name}"), name)
        return function(opened.plan, opened.store, options)


@contextlib.contextmanager
def _bar() -> Iterator[runtime.Progress | None]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description:<9}"), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn(elapsed_when_finished=True))  # fmt: skip
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, Any] = {}

        def progress(what: str, steps: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.advance(tasks[what], steps)

        yield progress


def complain(name: str, outcome: runtime.Outcome) -> None:
    """Names what failed or is doubtful, on stderr."""
    for item, reason in outcome.warnings.items():
        print(f"{name}: {item}: warning: {reason}", file=sys.stderr)
    for item, reason in outcome.failed.items():
        print(f"{name}: {item}: {reason}", file=sys.stderr)


def summary(opened: Opened, name: str, outcome: runtime.Outcome) -> dict[str, Any]:
    """What a stage did, and where the result is."""
    complain(name, outcome)
    place = opened.store.report if name == "analyze" else opened.store.root
    text = f"{name}: {outcome.done} done, {outcome.skipped} already there"
    if outcome.failed:
        text += f", {len(outcome.failed)} failed"
    return {
        "stage": name, "done": outcome.done, "already_there": outcome.skipped,
        "failed": outcome.failed, "result": str(place), "text": f"{text}. Result: {place}",
    }  # fmt: skip


def findings(opened: Opened) -> dict[str, Any]:
    """What the analysis found, in a few sentences, and where the report is."""
    found = opened.store.read_json(opened.store.findings) or {}
    lines = [*found.get("sentences", []), *_learned(found), "", f"Report: {opened.store.report}"]
    return {**found, "report": str(opened.store.report), "text": "\n".join(lines)}


def _learned(found: dict[str, Any]) -> list[str]:
    """How far each configuration came from the base model towards real images."""
    overall: dict[str, Any] = next(iter(found.get("categories", {}).values()), {})
    fidelity = overall.get("fidelity", {})
    shares = fidelity.get("distance_closed", {})
    said = ", ".join(f"{name} {share['share']:.0%}" for name, share in shares.items())
    if not said:
        return []
    kind = fidelity["prompt_type"]
    return [f"Of the way from the base model to held-out real images ({kind} prompts): {said}."]


def overview(opened: Opened, device: str = "auto") -> dict[str, Any]:
    """How much a study asks for, what is there already, and about how long the rest takes."""
    plan, store = opened.plan, opened.store
    stored = [_state(opened, checkpoint) for checkpoint in plan.checkpoints]
    images = sum(state["images"] for state in stored)
    asked = sum(state["of"] for state in stored)
    trained = sum(_status(opened, checkpoint) == "trained" for checkpoint in plan.trained)
    time = seconds(plan, store, runtime.device(device))
    disk = disk_bytes(plan, store)
    result = {
        "study": plan.study.name,
        "run": str(store.root),
        "configurations": len(plan.study.configurations),
        "checkpoints": len(plan.trained),
        "checkpoints_there": trained,
        "concepts": len({p.concept for p in plan.prompt_sets}),
        "images": asked,
        "images_there": images,
        "scored": sum(state["scored"] for state in stored),
        "seconds_left": time,
        "disk_bytes": disk,
    }
    left = ", ".join(f"{name} {_duration(value)}" for name, value in time.items())
    result["text"] = "\n".join([
        f"study        {result['study']} in {result['run']}",
        f"checkpoints  {result['checkpoints']} of {result['configurations']} configurations, "
        f"{trained} there",
        f"images       {asked} for {result['concepts']} concepts, base included, {images} there",
        f"scored       {result['scored']} of {len(stored)}",
        f"time left    about {_duration(sum(time.values()))} ({left}), one process, measured here",
        f"disk         about {disk / 2**20:,.0f} MiB in all",
    ])  # fmt: skip
    return result


def validated(opened: Opened) -> dict[str, Any]:
    """What was checked and found right."""
    plan = opened.plan
    examples = len(plan.data.examples)
    text = (
        f"{plan.study.name} is valid: {len(plan.study.configurations)} configurations, "
        f"{len(plan.trained)} checkpoints, {examples} training images of "
        f"{len(plan.data.concepts)} concepts"
    )
    return {
        "study": plan.study.name,
        "configurations": [c.name for c in plan.study.configurations],
        "training_images": examples,
        "text": text,
    }


def listing(opened: Opened) -> dict[str, Any]:
    """One line a checkpoint: trained, images, scored."""
    states = [_state(opened, checkpoint) for checkpoint in opened.plan.checkpoints]
    width = max(len(state["checkpoint"]) for state in states)
    lines = [
        f"{state['checkpoint']:<{width}}  {state['status']:<9}  "
        f"{state['images']}/{state['of']} images  {'scored' if state['scored'] else ''}".rstrip()
        for state in states
    ]
    return {"checkpoints": states, "text": "\n".join(lines)}


def _state(opened: Opened, checkpoint: Checkpoint) -> dict[str, Any]:
    from lycoris_bench.score import inputs

    plan, store = opened.plan, opened.store
    jobs = plan.jobs(checkpoint)
    frame = store.frame(store.metrics(store.branch(checkpoint)))
    return {
        "checkpoint": str(checkpoint),
        "status": _status(opened, checkpoint),
        "images": len(jobs) - len(plan.absent(store, checkpoint)),
        "of": len(jobs),
        "scored": frame is not None and frame[1] == inputs(plan, checkpoint),
    }


def _status(opened: Opened, checkpoint: Checkpoint) -> str:
    """given, trained, diverged, stale (trained under other settings) or missing; of what is
    combined, whether all its parts are there."""
    if checkpoint.is_base or checkpoint.is_combined:
        return "missing" if opened.plan.unusable(opened.store, checkpoint) else "given"
    card = opened.store.card(checkpoint.weights)
    if card is None:
        return "missing"
    if card["uid"] != opened.plan.checkpoint_uid(checkpoint):
        return "stale"
    return "trained" if card["status"] == "done" else card["status"]


def _duration(value: float) -> str:
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if value >= 2 * size:
            return f"{value / size:.0f} {unit}"
    return f"{value:.0f} s"
