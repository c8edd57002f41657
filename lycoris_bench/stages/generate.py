"""Stage 2: draws the images that each checkpoint, and the base model, still lacks."""

from lycoris_bench.planning import reads
from lycoris_bench.planning.plan import Plan
from lycoris_bench.planning.status import Status
from lycoris_bench.run import executor
from lycoris_bench.run.executor import Item
from lycoris_bench.run.outcome import Options, Outcome
from lycoris_bench.run.passing import Passing
from lycoris_bench.run.store import Store
from lycoris_bench.stages.drawing import Drawing
from lycoris_bench.study.records import Checkpoint


def generate(plan: Plan, store: Store, options: Options) -> Outcome:
    """Draws missing images, the base model's included; the outcome names checkpoints without
    weights as failures. A checkpoint that is scored needs no images any more."""
    outcome = Outcome()
    lacking: dict[Checkpoint, int] = {}
    status = Status(plan, store, keeps=True)
    for checkpoint in plan.checkpoints:
        name = str(checkpoint)
        if not (options.also_scored or status.needs_images(checkpoint)):
            outcome.skipped += 1
        elif reason := status.unusable(checkpoint):
            outcome.failed[name] = reason
        elif not (missing := status.lacking(checkpoint)):
            outcome.skipped += 1
        else:
            lacking[checkpoint] = missing
    total = sum(lacking.values())
    left = executor.share(total, len(lacking), options.workers)
    items = [
        Item(
            str(c), draw, (plan, store, c, left),
            reads=reads.of_source(plan, store, c), shares=reads.inputs(plan),
        )
        for c in lacking
    ]  # fmt: skip
    Passing.read(store).less(images=[item.name for item in items]).write(store)
    results = executor.each(
        items, workers=options.workers, total=total, what="generate",
        devices=options.devices,
        progress=options.progress, debug=options.debug, cluster=options.cluster,
    )  # fmt: skip
    for name, drawn, error in results:
        refused, warned = drawn or (None, None)
        if problem := error or refused:
            outcome.failed[name] = problem
        else:
            outcome.done += 1
        if warned:
            outcome.warnings[name] = warned
    return outcome


def draw(
    plan: Plan, store: Store, checkpoint: Checkpoint, left: int, device: str
) -> tuple[str | None, str | None]:
    """Draws one checkpoint's missing images, of about `left` of this process. Returns a sentence on
    images that were not stored and one of warnings, or None."""
    drawing = Drawing(plan, store, checkpoint, left, device)
    for _ in drawing.images():
        pass
    return drawing.refused, drawing.warned
