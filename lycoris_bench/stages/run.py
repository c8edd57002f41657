"""The whole line as one command: each checkpoint is trained, drawn and scored as soon as it can be,
and what is scored is analyzed at the end.

Images are encoded in the process that draws them, from the pixels that their files hold, so that
the rows are those of the four stages one after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.planning import reads
from lycoris_bench.planning.parts import Part, parts
from lycoris_bench.planning.plan import Plan
from lycoris_bench.planning.status import Status
from lycoris_bench.run import executor
from lycoris_bench.run.executor import Item
from lycoris_bench.run.outcome import KeepCheckpoints, KeepImages, Options, Outcome
from lycoris_bench.run.passing import Passing
from lycoris_bench.run.store import Store
from lycoris_bench.scoring.feature_pass import Given
from lycoris_bench.stages import class_images, keeping, passes
from lycoris_bench.stages.analyze import analyze
from lycoris_bench.stages.drawing import Drawing
from lycoris_bench.stages.joining import is_scored, join
from lycoris_bench.stages.rows import DamagedImages, put_rows, score_tables
from lycoris_bench.stages.score import finish, scoring_of
from lycoris_bench.stages.train import checkpoints_of, trainings, weights_of
from lycoris_bench.study.names import CLASS_IMAGES
from lycoris_bench.study.records import BASE_CHECKPOINT, REAL_IMAGES, Checkpoint

BASE_FIRST, DRAW, TRAIN = 0.0, 1.0, 2.0  # turns: drawing frees disk, so it comes before training
TRAIN_FIRST = 0.5  # on a cluster, where all wait at the end for a training that began late
ANALYSIS = 0.05  # of all other work: a share for the progress that is shown, no measurement


def run(plan: Plan, store: Store, options: Options) -> Outcome:
    """Runs what is missing of the whole line. A checkpoint whose rows are stored counts as done.

    Of what it makes itself it keeps, once it is scored, what `options` say: the disk never holds
    all images of more checkpoints than the base model and one a worker."""
    outcome = Outcome()
    status = Status(plan, store, keeps=True)
    unscored = [c for c in plan.checkpoints if not status.has_rows(c)]
    if said := _tidied(plan, store, status, unscored, options):
        outcome.warnings["images"] = said
    items = items_of(plan, store, status, options, outcome)
    _list_what_passes(plan, store, status, unscored, items, options)
    # all work in forward passes of the U-Net for one image, of the training's or the images' size
    work = sum(item.unit * item.steps for item in items)
    results = executor.each(
        items, workers=options.workers, total=(1 + ANALYSIS) * work, what="run",
        devices=options.devices,
        progress=options.progress, debug=options.debug, cluster=options.cluster,
    )  # fmt: skip
    by_name = {str(checkpoint): checkpoint for checkpoint in plan.checkpoints}
    outcome.skipped = len(by_name.keys() - {item.name for item in items})
    for name, result, error in results:
        if error:
            outcome.failed[name] = error
        elif name in by_name:
            outcome.done += 1
            unscored = [c for c in unscored if c != by_name[name]]
            keeping.remove_weights(plan, store, unscored, options.keep_checkpoints)
        if isinstance(result, str):
            outcome.warnings[name] = result
    finish(plan, store, status, outcome)
    if not unscored:
        keeping.remove_images(plan, store, BASE_CHECKPOINT, options.keep_images)
        class_images.remove(plan, store, options.keep_images)
    analyzed = analyze(plan, store, options, outcome.failed)
    if options.progress:
        options.progress("run", ANALYSIS * work, (1 + ANALYSIS) * work)
    return replace(
        outcome,
        reported=bool(analyzed.done),
        failed={**analyzed.failed, **outcome.failed},
        warnings={**outcome.warnings, **analyzed.warnings},
    )


def items_of(
    plan: Plan, store: Store, status: Status, options: Options, outcome: Outcome
) -> list[Item]:
    """All work that is left, but the analysis; the outcome gets warnings."""
    trained = trainings(plan, store, options, outcome)
    return [
        *_real_images(plan, store, status),
        *_checkpoints(plan, store, status, trained, options),
        *_longest_first(trained, TRAIN_FIRST if options.cluster else TRAIN),
    ]


def draw_and_score(
    plan: Plan,
    store: Store,
    checkpoint: Checkpoint,
    part: Part | None,
    keep: str,
    left: int,
    device: str,
) -> str | None:
    """Draws a checkpoint's missing images, or those of a part of them, of about `left` of this
    process, and scores them as they come; then removes those that need not be kept. Returns a
    sentence of warnings, or None. The base model's images stay, as others are compared with
    them."""
    status = Status(plan, store)
    if reason := status.unusable(checkpoint):
        raise BenchError(reason)
    drawing = Drawing(plan, store, checkpoint, left, device, part)
    if status.has_rows(checkpoint):  # the base model's images are needed again
        for _ in _all_of(drawing):
            pass
    else:
        try:
            tables = score_tables(plan, store, checkpoint, device, _all_of(drawing), part)
        except DamagedImages:  # of this checkpoint or of the base model; they are set aside
            for _ in _all_of(Drawing(plan, store, BASE_CHECKPOINT, left, device)):
                pass
            tables = score_tables(plan, store, checkpoint, device, _all_of(drawing), part)
        put_rows(plan, store, checkpoint, tables, part)
    if not checkpoint.is_base:
        keeping.remove_images(plan, store, checkpoint, keep, features=part is None)
    return drawing.warned


def _all_of(drawing: Drawing) -> Iterator[tuple[str, Given]]:
    """All images of a drawing; BenchError: some were refused."""
    yield from drawing.images()
    if drawing.refused:
        raise BenchError(drawing.refused)


def _real_images(plan: Plan, store: Store, status: Status) -> Iterator[Item]:
    if not status.has_rows(REAL_IMAGES):
        yield scoring_of(plan, store, REAL_IMAGES, BASE_FIRST)


def _checkpoints(
    plan: Plan, store: Store, status: Status, trained: Sequence[Item], options: Options
) -> Iterator[Item]:
    """An item for each checkpoint that is not scored, after its trainings and the base model; on a
    cluster one for each part of it, and one that joins them."""
    begins_after: dict[Checkpoint | Path, str] = {
        c: weights_of(c) for item in trained for c in checkpoints_of(item)
    }
    lacking = {c: status.needs_images(c) and status.lacking(c) for c in plan.checkpoints}
    drawn = [c for c, images in lacking.items() if images or not status.has_rows(c)]
    left = executor.share(sum(lacking.values()), len(drawn), options.workers)
    shares = (*reads.inputs(plan), *reads.compared_with(plan, store))
    for checkpoint in drawn:
        after = {begins_after[p] for p, _ in plan.parts(checkpoint) if p in begins_after}
        if checkpoint.is_base:
            begins_after[checkpoint] = str(checkpoint)
        elif BASE_CHECKPOINT in begins_after:
            after.add(str(BASE_CHECKPOINT))
        whole = Item(
            str(checkpoint), draw_and_score,
            (plan, store, checkpoint, None, options.keep_images, left), frozenset(after),
            turn=BASE_FIRST if checkpoint.is_base else DRAW,
            unit=passes.of_image(plan), steps=lacking[checkpoint],
            reads=reads.of_source(plan, store, checkpoint), shares=shares,
        )  # fmt: skip
        parted = options.cluster and not status.has_rows(checkpoint)
        yield from _in_parts(whole) if parted else [whole]


def _in_parts(whole: Item) -> list[Item]:
    """The item of a checkpoint as items of its parts, and one that joins them under its name."""
    plan, store, checkpoint, _, *options = whole.arguments
    asked = parts(plan, checkpoint)
    if len(asked) == 1:
        return [whole]
    items = [
        replace(
            whole, name=f"{checkpoint} ({part})", steps=whole.steps / len(asked),
            arguments=(plan, store, checkpoint, part, *options),
        )
        for part in asked
        if not is_scored(plan, store, checkpoint, part)
    ]  # fmt: skip
    joined = replace(
        whole, work=join, arguments=(plan, store, checkpoint, asked),
        after=frozenset(item.name for item in items), steps=0,
        reads=(*whole.reads, *reads.of_parts(store, checkpoint, asked)),
    )  # fmt: skip
    return [*items, joined]


def _longest_first(trained: Sequence[Item], turn: float) -> Iterator[Item]:
    """The trainings, of which the longest begins first, after the drawing of class images; a step
    counts as passes of its images."""
    work = {item.name: item.unit * item.steps for item in trained if checkpoints_of(item)}
    longest = max(work.values(), default=0)
    for item in trained:
        begins = turn + (1 - work[item.name] / longest) / 4 if checkpoints_of(item) else BASE_FIRST
        yield replace(item, turn=begins, unit=item.unit * passes.of_step(item.arguments[0]))


def _list_what_passes(
    plan: Plan,
    store: Store,
    status: Status,
    unscored: Sequence[Checkpoint],
    items: Sequence[Item],
    options: Options,
) -> None:
    """Lists what this command is about to make, from nothing: what it may remove afterwards. What
    it is told to keep leaves the list for good."""
    passing = Passing.read(store)
    if options.keep_images == KeepImages.ALL:
        passing = passing.less(images=[CLASS_IMAGES, *map(str, plan.checkpoints)])
    else:
        drawn = [str(c) for c in unscored if status.lacking(c) == plan.image_count(c)]
        beside = [CLASS_IMAGES] if class_images.none_drawn(plan, store) else []
        passing = passing.adding([*drawn, *beside], ())
    if options.keep_checkpoints == KeepCheckpoints.ALL:
        passing = passing.less(weights=map(str, plan.trained))
    else:
        passing = passing.adding((), (str(c) for item in items for c in checkpoints_of(item)))
    passing.write(store)


def _tidied(
    plan: Plan, store: Store, status: Status, unscored: Sequence[Checkpoint], options: Options
) -> str | None:
    """Removes what an earlier `run` left of scored checkpoints and need not be kept now. Returns a
    sentence on what was removed, or on images that are asked for and not there."""
    scored = [c for c in plan.checkpoints if c not in unscored]
    if options.keep_images == KeepImages.ALL:
        gone = sum(map(status.lacking, scored))
        said = "{} images of scored checkpoints are not there; 'generate --also-scored' draws them"
        return said.format(gone) if gone else None
    removed = sum(
        keeping.remove_images(plan, store, checkpoint, options.keep_images)
        for checkpoint in scored
        if not (checkpoint.is_base and unscored)
    )
    keeping.remove_weights(plan, store, unscored, options.keep_checkpoints)
    if not unscored:
        class_images.remove(plan, store, options.keep_images)
    said = "{} images of scored checkpoints were removed (--keep-images {})"
    return said.format(removed, options.keep_images) if removed else None
