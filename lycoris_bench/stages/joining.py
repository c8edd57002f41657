"""Joins the rows of a checkpoint's parts (planning/parts.py) to those that one worker would have
written."""

from collections.abc import Iterable, Sequence

import pandas as pd

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.planning import scored_rows
from lycoris_bench.planning.parts import Part
from lycoris_bench.planning.plan import Plan
from lycoris_bench.run import passing
from lycoris_bench.run.store import Store
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.feature_pass import UnreadableImages
from lycoris_bench.scoring.metrics.base import NO_ENCODER
from lycoris_bench.stages.rows import DamagedImages, put_rows, score_tables
from lycoris_bench.study.records import Checkpoint


def is_scored(plan: Plan, store: Store, checkpoint: Checkpoint, part: Part) -> bool:
    """Whether the rows of a part are stored under the present inputs."""
    return _rows(plan, store, checkpoint, part) is not None


def join(
    plan: Plan, store: Store, checkpoint: Checkpoint, parts: Sequence[Part], device: str
) -> None:
    """Writes the rows of a checkpoint whose parts are all scored: theirs, and those of all concepts
    together. BenchError: what the parts left is lost or damaged; a next run makes it again."""
    branch = store.branch(checkpoint)
    rows = [_rows(plan, store, checkpoint, part) for part in parts]
    images = [store.frame(store.metrics(branch, f"-{part.name}-images")) for part in parts]
    try:
        whole = score_tables(plan, store, checkpoint, device, whole=True)
    except (DamagedImages, UnreadableImages):
        whole = None
    if whole is None or None in images or any(table is None for table in rows):
        passing.remove_parts(store, checkpoint)
        raise BenchError("what its parts left is lost or damaged; run again to draw them again")
    of_images = [*(found[0] for found in images if found), whole[1]]
    tables = _in_order(plan, [*rows, whole[0]]), _in_order(plan, of_images)
    put_rows(plan, store, checkpoint, tables)


def _rows(plan: Plan, store: Store, checkpoint: Checkpoint, part: Part) -> pd.DataFrame | None:
    stored = store.frame(store.metrics(store.branch(checkpoint), f"-{part.name}"))
    valid = stored and stored[1] == scored_rows.inputs(plan, store, checkpoint)
    return stored[0] if stored and valid else None


def _in_order(plan: Plan, tables: Iterable[pd.DataFrame | None]) -> pd.DataFrame:
    """The rows by the study's encoders, and of each in the order of the tables."""
    table = pd.concat([t for t in tables if t is not None and len(t)], ignore_index=True)
    records = map(encoders.record, plan.study.settings.scoring.encoders)
    views = [*((r.name, r.resize) for r in records), (NO_ENCODER, NO_ENCODER)]
    place = {view: k for k, view in enumerate(dict.fromkeys(views))}
    order = [place[view] for view in zip(table["encoder"], table["resize"], strict=True)]
    return table.iloc[pd.Series(order).argsort(kind="stable")].reset_index(drop=True)
