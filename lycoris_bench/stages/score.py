"""Stage 3: evaluates metrics on the images of each checkpoint, the base model and real images,
as rows of the metric table."""

import json

from lycoris_bench.messages.numbers import plural
from lycoris_bench.messages.printable import csv
from lycoris_bench.planning import packed_rows, reads, scored_rows
from lycoris_bench.planning.plan import Plan
from lycoris_bench.planning.status import Status
from lycoris_bench.run import executor
from lycoris_bench.run.executor import Item
from lycoris_bench.run.outcome import Options, Outcome
from lycoris_bench.run.store import Store
from lycoris_bench.scoring import encoders
from lycoris_bench.stages.rows import put_rows, score_tables
from lycoris_bench.study.records import BASE_CHECKPOINT, REAL_IMAGES, Checkpoint, Source


def score(plan: Plan, store: Store, options: Options) -> Outcome:
    """Scores checkpoints that have no rows under their present inputs; the outcome names those
    whose images are not all there as failures. Rows outlive their images."""
    outcome = Outcome()
    items: list[Item] = []
    status = Status(plan, store, keeps=True)
    for source in scored_rows.sources(plan):
        name = str(source)
        if isinstance(source, Checkpoint) and not status.needs_images(source):
            outcome.skipped += 1
        elif isinstance(source, Checkpoint) and (lacking := status.lacking(source)):
            verb = "is" if lacking == 1 else "are"
            outcome.failed[name] = (
                f"{lacking} of {plural(plan.image_count(source), 'image')} {verb} missing, damaged "
                "or of other settings; run 'lycoris-bench generate'"
            )
        elif status.has_rows(source):
            outcome.skipped += 1
        else:
            items.append(scoring_of(plan, store, source))
    if str(BASE_CHECKPOINT) in outcome.failed:
        return outcome  # nothing can be compared with base
    results = executor.each(
        items, workers=options.workers, total=len(items), what="score",
        devices=options.devices,
        progress=options.progress, debug=options.debug, cluster=options.cluster,
    )  # fmt: skip
    for name, _, error in results:
        if error:
            outcome.failed[name] = error
        else:
            outcome.done += 1
    finish(plan, store, status, outcome)
    return outcome


def finish(plan: Plan, store: Store, status: Status, outcome: Outcome) -> None:
    """Joins the stored rows to one table where that lacks some, and warns of encoders whose
    weights are not pinned."""
    scoring = plan.study.settings.scoring
    if outcome.done and (loose := encoders.unpinned(scoring.encoders, scoring.weights)):
        outcome.warnings["encoders"] = "; ".join(loose)
    if outcome.done or not status.is_assembled():
        assemble(plan, store)


def assemble(plan: Plan, store: Store) -> None:
    """Writes all rows of the study, beyond a `limit` too, as one table: parquet and CSV."""
    packed_rows.unpack(store)
    sources: list[Source] = [*plan.study.checkpoints, REAL_IMAGES]
    tables = {source: scored_rows.rows(plan, store, source) for source in sources}
    table = scored_rows.joined(tables.values())
    if table is not None:
        identities = json.dumps(scored_rows.identities(plan))
        store.put_frame(store.table("metrics"), table, identities)
        hidden = ["protocol"] if (table["second"] != "").any() else ["protocol", "second"]
        store.write(store.table("metrics").with_suffix(".csv"), csv(table.drop(columns=hidden)))
        scored = [source for source, rows in tables.items() if rows is not None]
        Status(plan, store).keep_tables(scored)


def scoring_of(plan: Plan, store: Store, source: Source, turn: float = 0.0) -> Item:
    """The item that scores a source from its files."""
    return Item(
        str(source), score_one, (plan, store, source), turn=turn,
        reads=reads.of_source(plan, store, source),
        shares=(*reads.inputs(plan), *reads.compared_with(plan, store)),
    )  # fmt: skip


def score_one(plan: Plan, store: Store, source: Source, device: str) -> None:
    """Scores one checkpoint or real images from their files."""
    put_rows(plan, store, source, score_tables(plan, store, source, device))
    executor.advance()
