"""Scores a folder of images that exist already: its result is a run folder like any other."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lycoris_bench.analysis import run_tables
from lycoris_bench.analysis.report import kept_gallery
from lycoris_bench.messages.arguments import COUNT, FUNCTION, NAMES, PATH, TABLE, TEXT
from lycoris_bench.messages.errors import BenchError, doing
from lycoris_bench.messages.printable import csv
from lycoris_bench.planning import resolve, scored_rows
from lycoris_bench.run import environment, executor, manifest
from lycoris_bench.run.executor import Item
from lycoris_bench.run.outcome import Outcome, Progress
from lycoris_bench.run.provenance import STUDY_NAME
from lycoris_bench.run.store import Store
from lycoris_bench.samples.columns import STEP
from lycoris_bench.samples.found import Notes
from lycoris_bench.samples.gallery import gallery
from lycoris_bench.samples.opened import Asked, check_run, locations, opened, scoring, study_file
from lycoris_bench.samples.sets import SamplesPlan
from lycoris_bench.scoring import encoders as all_encoders
from lycoris_bench.scoring.rows import tables_of
from lycoris_bench.study.drawn import DRAWN
from lycoris_bench.study.records import BASE, REAL, Checkpoint, Configuration, Source

NOTHING = (
    "no metric has a number: images are compared with real ones (--reference), with their prompts, "
    "with the base model's (--base), or with others of the same prompt"
)
OPTIONAL = ("group", "pattern", "grid", "trigger", "class_word", "description")


def score_samples(
    folder: str | Path,
    *,
    reference: str | Path | None = None,
    base: str | Path | None = None,
    group: str = STEP,
    pattern: str | None = None,
    grid: str | None = None,
    prompts: str | Path | None = None,
    words: str | Path | None = None,
    trigger: str | None = None,
    class_word: str | None = None,
    description: str | None = None,
    encoders: Sequence[str] = (),
    metrics: Sequence[str] = (),
    batch_size: int | None = None,
    weights: Mapping[str, str] | None = None,
    run: str | Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    debug: bool = False,
) -> Outcome:
    """Scores the images in a folder, and in all folders inside it, and analyzes the scores: the
    table, ranks and report of `run` (by default runs/NAME). What is scored already of the same
    content is not scored again.

    Prompts are read from a text file of the same stem, a `metadata.jsonl`, what A1111, Forge and
    ComfyUI write into images, or the list `prompts`. Names are read as kohya sd-scripts,
    ai-toolkit, OneTrainer, SimpleTuner and this program write them, or by a `pattern` such as
    "{configuration}/{step}_{index}". What is compared is each configuration at each step, or the
    values of the field `group`. A `grid` "2x3" is cut into 2 rows of 3.

    `reference` are real images of the concept, or a dataset of several; `base` the base model's
    images, which pair by prompt and seed. CLIP reads the `description` in place of the `trigger`
    and the `class_word`, or what the `concepts.toml` in `words` or `reference` says.

    `batch_size` images are encoded at once; `weights` are encoders' own, by name: a file, or a
    repository of the hub as "owner/name" or "owner/name@revision".

    The outcome counts columns; `failed` names what is left out, `warnings` what is lacking.
    BenchError: an argument that cannot be used, no image, or a run folder of something else."""
    given: dict[str, Any] = {
        "group": group, "pattern": pattern, "grid": grid, "trigger": trigger,
        "class_word": class_word, "description": description,
    }  # fmt: skip
    for name in OPTIONAL:
        TEXT.or_none().check(name, given[name])
    for name, place in {"reference": reference, "base": base, "prompts": prompts, "words": words,
                        "run": run}.items():  # fmt: skip
        PATH.or_none().check(name, place)
    PATH.check("folder", folder)
    NAMES.check("encoders", encoders)
    NAMES.check("metrics", metrics)
    COUNT.or_none().check("batch_size", batch_size)
    TABLE.or_none().check("weights", weights)
    FUNCTION.or_none().check("progress", progress)
    places = locations(folder=folder, reference=reference, base=base, prompts=prompts, words=words)
    asked = Asked(
        **{**given, **places}, encoders=tuple(encoders), metrics=tuple(metrics),
        batch_size=batch_size, weights={name: str(own) for name, own in (weights or {}).items()},
    )  # fmt: skip
    store = Store(run_of(folder, run))
    scoring(asked)  # its mistakes come before the folder is made
    if not asked.folder.is_dir():
        raise BenchError(
            f"{asked.folder} {'is no folder' if asked.folder.exists() else 'does not exist'}"
        )
    check_run(asked, store)
    device = environment.device(device)
    with store.lock(), doing(f"scoring the images in {asked.folder}"):
        return _scored(asked, store, device, progress, debug)


def run_of(folder: str | Path, run: str | Path | None = None) -> Path:
    """The run folder of a folder of images: the one that is given, or runs/NAME."""
    place = Asked(folder=locations(folder=folder)["folder"] or Path())
    return Path("runs") / place.name if run is None else Path(run)


def _scored(
    asked: Asked, store: Store, device: str, progress: Progress | None, debug: bool
) -> Outcome:
    notes = Notes()
    about = environment.provenance(stage="score", device=device) | {STUDY_NAME: asked.name}
    if asked.grid and not store.study.exists():  # whose pieces come first: a run folder has them
        column = Checkpoint(Configuration(asked.name, DRAWN))
        store.describe(study_file(asked, store, scoring(asked), [column]), about)
    plan = opened(asked, store, notes)
    resolve.check_weights(plan.study)
    outcome = Outcome(failed=notes.failed, warnings=notes.warned)
    columns = [column for column in plan.columns if not column.is_base]
    text = study_file(asked, store, plan.study.settings.scoring, columns)
    store.describe(text, about, identities(plan))
    items = []
    for source in plan.sources:
        if is_scored(plan, store, source):
            outcome.skipped += 1
        else:
            items.append(Item(str(source), score_one, (plan, store, source)))
    results = executor.each(
        items, workers=1, total=len(items), what="score",
        devices=environment.devices(device), progress=progress, debug=debug,
    )  # fmt: skip
    for name, _, error in results:
        if error:
            outcome.failed[name] = error
        else:
            outcome.done += 1
    settings = plan.study.settings.scoring
    if outcome.done and (loose := all_encoders.unpinned(settings.encoders, settings.weights)):
        outcome.warnings["encoders"] = "; ".join(loose)
    _report(plan, store, outcome)
    return outcome


def score_one(plan: SamplesPlan, store: Store, source: Source, device: str) -> None:
    """Scores one column, the base model's images or the real ones, and stores the rows."""
    tables = tables_of(plan.sets(store, source), plan.protocols(source), device)
    store.put_rows(source, *tables, plan.inputs(store, source))
    executor.advance()


def is_scored(plan: SamplesPlan, store: Store, source: Source) -> bool:
    """Whether the rows of a source are stored under its present inputs, with what lies beside
    them; a table that lost its content is not."""
    rows, of_parts, beside = store.files_of_rows(store.branch(source))
    stored = store.frame(rows)
    whole = stored is not None and stored[1] == plan.inputs(store, source)
    return whole and store.frame(of_parts) is not None and bool(manifest.checked(beside))


def identities(plan: SamplesPlan) -> list[dict[str, Any]]:
    """The identity of each column's inputs, as `scored_rows.identities` of a study."""
    return [
        {
            "configuration": column.configuration.name, "seed": column.seed,
            "epoch": column.epoch, "strength": column.strength,
            "identity": plan.identity(column),
        }
        for column in plan.columns
    ]  # fmt: skip


def _report(plan: SamplesPlan, store: Store, outcome: Outcome) -> None:
    """Joins the rows to one table, and analyzes it; what hinders that is a failure with a name."""
    there = [source for source in plan.sources if is_scored(plan, store, source)]
    stored = (store.frame(store.metrics(store.branch(source))) for source in _in_order(there))
    table = scored_rows.joined(one[0] for one in stored if one and len(one[0]))
    if table is None:
        if there:
            outcome.failed["score"] = NOTHING
        return
    known = json.dumps(identities(plan))
    store.put_frame(store.table("metrics"), table, known)
    store.write(store.table("metrics").with_suffix(".csv"), csv(table.drop(columns="protocol")))
    kept_gallery.keep(store, gallery(plan))
    if set(table["configuration"]) <= {BASE, REAL}:
        return
    try:
        run_tables.analyze_folder(store, outcome.failed)
        outcome.reported = True
    except BenchError as error:
        outcome.failed["report"] = f"{error}; the table is written: {store.table('metrics')}"


def _in_order(sources: Sequence[Source]) -> list[Source]:
    """Columns first, as in a study's table; real images last."""
    columns: list[Source] = [s for s in sources if isinstance(s, Checkpoint)]
    return [*columns, *(s for s in sources if not isinstance(s, Checkpoint))]
