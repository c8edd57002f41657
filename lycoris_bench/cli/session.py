"""What the commands on a study share: opens it on its run folder, runs a stage with a progress
display, and returns what is printed as data and text."""

import shlex
import sys
from pathlib import Path
from typing import Any

from lycoris_bench.cli.options import batch_sizes
from lycoris_bench.cli.progress import shown
from lycoris_bench.messages.errors import doing
from lycoris_bench.messages.numbers import percent, plural
from lycoris_bench.messages.printable import printable
from lycoris_bench.run.cluster import Cluster
from lycoris_bench.run.folder import STUDY
from lycoris_bench.run.outcome import WHOLE, Options, Outcome
from lycoris_bench.stages.study_context import StudyContext, open_context
from lycoris_bench.study.load import StudyError, load
from lycoris_bench.study.places import locate

LONGEST = 2000  # characters of one failure that are printed
MANY = 12  # items with one reason that are still named one by one; --json and the page name all


def open_study(
    file: str,
    run: Path | None,
    overrides: list[str],
    limit: int | None,
    batch_size: int | None,
    *,
    device: str = "auto",
    to_run: str | None = None,
    cluster: Cluster | None = None,
) -> StudyContext:
    """Reads and checks a study before any work is done, and prints its warnings to stderr.
    Without a stage in `to_run` it may lack what `open_context` allows."""
    overrides = [*overrides, *batch_sizes(batch_size)]
    with doing(f"opening the study {file}"):
        if to_run == "analyze" and not locate(file, Path()).exists():
            raise StudyError(file, ["there is no such study file or run folder"])
        if ((place := locate(file, Path())) / STUDY).is_file():
            typed = shlex.join([str(place / STUDY), "--run", str(place)])
            raise StudyError(file, [f"is a run folder; give its study file: {typed}"])
        study = load(file, overrides)
        context = open_context(
            study, run, device=device, limit=limit, to_run=to_run, cluster=cluster
        )
    for doubt in context.plan.doubts:
        print(printable(f"warning: {doubt}", LONGEST), file=sys.stderr)
    return context


def planned(
    context: StudyContext, device: str, rate: str | None, earlier: Path | None
) -> dict[str, Any]:
    """What a study asks for, what is there, and what differences it can show if it is as noisy as
    the run `earlier`, or as the published study."""
    from lycoris_bench.analysis.study_power import power
    from lycoris_bench.planning.overview import overview
    from lycoris_bench.stages.keeping import most_bytes

    shown = power(context.plan, earlier)
    sampled = most_bytes(context.plan)
    asked = overview(context.plan, context.store, context.absent, device, rate, sampled)
    return {**asked, "can_show": shown, "text": f"{asked['text']}\n{shown.pop('text')}"}


def planned_drawing(
    context: StudyContext, device: str, rate: str | None, workers: int | None
) -> dict[str, Any]:
    """What drawing and scoring given checkpoints asks for, and what is there."""
    from lycoris_bench.planning.overview import overview
    from lycoris_bench.stages.keeping import most_bytes

    sampled = most_bytes(context.plan)
    return overview(context.plan, context.store, context.absent, device, rate, sampled, workers)


def run_stage(
    context: StudyContext, name: str, workers: int | None, debug: bool, **chosen: Any
) -> Outcome:
    """Runs one stage, or "run", and shows its progress; `chosen` are more of its `Options`."""
    with shown() as progress:
        return context.run(name, Options(progress=progress, debug=debug, **chosen), workers)


def print_problems(name: str, outcome: Outcome) -> None:
    """Prints a stage's warnings and failures to stderr; a reason that many items share, once."""
    for mark, said in (("warning: ", outcome.warnings), ("", outcome.failed)):
        alike: dict[str, list[str]] = {}
        for item, reason in said.items():
            alike.setdefault(reason, []).append(item)
        for reason, items in alike.items():
            few = items if len(items) <= MANY else [f"{items[0]} and {len(items) - 1} more"]
            for item in few:
                print(printable(f"{name}: {item}: {mark}{reason}", LONGEST), file=sys.stderr)


def summary(context: StudyContext, name: str, outcome: Outcome) -> dict[str, Any]:
    """Counts of what a stage did, and the path of its result; prints its problems."""
    print_problems(name, outcome)
    text = f"{name}: {outcome.done} done, {outcome.skipped} already there"
    if outcome.failed:
        text += f", {len(outcome.failed)} failed"
    place: Path | None = context.store.root
    where = f"Result: {place}"
    if name in ("analyze", WHOLE):
        written = outcome.reported if name == WHOLE else bool(outcome.done)
        place, where = _report(context.store.report, written)
    return {
        "stage": name, "done": outcome.done, "already_there": outcome.skipped,
        "failed": outcome.failed, "warnings": outcome.warnings,
        "result": str(place) if place else None,
        "text": f"{text}. {where}",
    }  # fmt: skip


def _report(place: Path, written: bool) -> tuple[Path | None, str]:
    """The report's path if the analysis wrote one, and the sentence that says so."""
    if written:
        return place, f"Result: {place}"
    older = f"; {place} is of an earlier analysis" if place.exists() else ""
    return None, f"No report was written{older}"


def findings(context: StudyContext) -> dict[str, Any]:
    """The findings of the analysis in a few sentences, and the path of the report."""
    report = context.store.report
    stored = context.store.read_json(context.store.findings) if report.exists() else None
    if not isinstance(stored, dict):
        return {"report": None, "text": "No report was written."}
    sentences = [*stored.get("sentences", []), *_distance_closed(stored), "", f"Report: {report}"]
    return {**stored, "report": str(report), "text": "\n".join(sentences)}


def _distance_closed(stored: dict[str, Any]) -> list[str]:
    """The share of the distance from the base model to real images that each configuration
    closed."""
    overall: dict[str, Any] = next(iter(stored.get("categories", {}).values()), {})
    fidelity = overall.get("fidelity", {})
    shares = fidelity.get("distance_closed", {})
    said = ", ".join(f"{name} {percent(share['share'])}" for name, share in shares.items())
    if not said:
        return []
    kind, ceiling = fidelity["prompt_type"], stored["ceiling"]["name"]
    return [f"Of the way from the base model to {ceiling} ({kind} prompts): {said}."]


def validated(context: StudyContext) -> dict[str, Any]:
    """What was checked, and what is missing."""
    plan = context.plan
    examples = len(plan.data.examples)
    text = (
        f"{plan.study.name} is valid: {plural(len(plan.study.configurations), 'configuration')}, "
        f"{plural(len(plan.trained), 'checkpoint')}, {plural(examples, 'training image')} of "
        f"{plural(len(plan.data.concepts), 'concept')}"
    )
    text += "".join(f"\nmissing: {sentence}" for sentence in context.absent)
    return {
        "study": plan.study.name,
        "configurations": [c.name for c in plan.study.configurations],
        "training_images": examples,
        "missing": list(context.absent),
        "warnings": list(plan.doubts),
        "text": text,
    }
