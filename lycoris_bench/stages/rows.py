"""Scores one checkpoint, the base model or real images of a study, and stores the rows."""

import contextlib
from collections.abc import Iterable, Iterator

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import plural
from lycoris_bench.planning import scored_rows
from lycoris_bench.planning.parts import Part
from lycoris_bench.planning.plan import Plan
from lycoris_bench.planning.protocol import protocols
from lycoris_bench.planning.status import Status
from lycoris_bench.run import passing
from lycoris_bench.run.store import Store
from lycoris_bench.scoring.feature_pass import Given, UnreadableImages
from lycoris_bench.scoring.image_sets import image_sets
from lycoris_bench.scoring.rows import Tables, tables_of
from lycoris_bench.study.records import BASE_CHECKPOINT, Checkpoint, Source


class DamagedImages(BenchError):
    """Images of the run cannot be decoded and were set aside."""


def put_rows(
    plan: Plan, store: Store, source: Source, tables: Tables, part: Part | None = None
) -> None:
    """Stores the tables of a source, or of a part of it; the rows last, which mark it as done."""
    kind = f"-{part.name}" if part else ""
    store.put_rows(source, *tables, scored_rows.inputs(plan, store, source), kind)
    if isinstance(source, Checkpoint) and not part:
        passing.remove_parts(store, source)


def score_tables(
    plan: Plan,
    store: Store,
    source: Source,
    device: str,
    drawn: Iterable[tuple[str, Given]] = (),
    part: Part | None = None,
    whole: bool = False,
) -> Tables:
    """The two tables of one checkpoint or of real images (`scoring.rows.tables_of`).

    Of a `part` of a checkpoint they have no rows of all concepts together; with `whole` they have
    those alone."""
    with _damaged_set_aside(plan, store, source):
        sets = image_sets(plan, store, source, part)
        return tables_of(sets, protocols(plan, source), device, drawn, whole)


@contextlib.contextmanager
def _damaged_set_aside(plan: Plan, store: Store, source: Source) -> Iterator[None]:
    """Sets aside images of the run that cannot be decoded, so that `generate` draws them again."""
    try:
        yield
    except UnreadableImages as error:
        damaged = [path for path in error.problems if path.is_relative_to(store.root)]
        for path in damaged:
            store.set_aside(path)
        for drawn in {source, BASE_CHECKPOINT} if damaged else ():
            if isinstance(drawn, Checkpoint):
                Status(plan, store).forget(drawn)
        if not damaged:
            raise
        images = plural(len(damaged), "image is damaged and was", "images are damaged and were")
        them = "it" if len(damaged) == 1 else "them"
        raise DamagedImages(
            f"{images} set aside; run 'lycoris-bench generate' to draw {them} again "
            f"({error.problems[damaged[0]]})"
        ) from None
