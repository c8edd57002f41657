"""The stored metric rows of each checkpoint that were computed from the study's present inputs.

A table carries the identity of all inputs it was computed from and is used only while that equals
the present one, so that no number is reported under other settings."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pandas as pd

from lycoris_bench.files.identity import uid
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.planning import packed_rows
from lycoris_bench.planning.packed_rows import KEY
from lycoris_bench.planning.plan import Plan
from lycoris_bench.planning.protocol import fingerprint, protocols
from lycoris_bench.run.folder import StoreError
from lycoris_bench.run.store import Store
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.encoders.base import Record
from lycoris_bench.scoring.metrics import chosen
from lycoris_bench.scoring.metrics.base import OUTPUTS, Metric
from lycoris_bench.scoring.metrics.inputs import contents
from lycoris_bench.study.load import Study
from lycoris_bench.study.prompt_types import of_pairs
from lycoris_bench.study.records import (
    BASE_CHECKPOINT,
    REAL_IMAGES,
    Checkpoint,
    MetricRow,
    Source,
    checkpoint_name,
)

NOW = "rows-"  # prefix of identities since 0.2


def sources(plan: Plan) -> list[Source]:
    """The sources of images that are scored: real images, then the plan's checkpoints."""
    return [REAL_IMAGES, *plan.checkpoints]


def metrics(study: Study) -> list[Metric]:
    """The metrics that the study names; none named: all but those on request. Those of two concepts
    are left out where no prompt names two."""
    asked = chosen(study.settings.scoring.metrics)
    if any(of_pairs([kind]) for kind in study.settings.sampling.prompt_types):
        return asked
    return [metric for metric in asked if not of_pairs(metric.prompt_types)]


def suiting(study: Study, spec: str) -> list[Metric]:
    """The metrics that take the outputs of this encoder."""
    outputs = encoders.record(spec).outputs
    return [m for m in metrics(study) if m.encoder and outputs in OUTPUTS[m.encoder]]


def without_encoder(study: Study) -> list[Metric]:
    """The metrics that need no encoder."""
    return [metric for metric in metrics(study) if metric.encoder is None]


def records(study: Study, store: Store) -> list[Record]:
    """The encoders' records with the SHA-256 of their weights: of the file on this machine, else
    of the one that this run last read, so that scores can be analyzed on another machine."""
    scoring, read = study.settings.scoring, store.read_json(store.encoder_weights)
    resolved = [encoders.resolved(spec, scoring.weights_of(spec)) for spec in scoring.encoders]
    known = read if isinstance(read, dict) else {}
    return [r if r.sha256 else replace(r, sha256=known.get(_place(r))) for r in resolved]


def keep(store: Store, read: list[Record]) -> None:
    """Stores the SHA-256 of the weights that a run has read. BenchError: an encoder without a file
    holds others than when the run was last scored, which nothing shows before it is loaded."""
    known = store.read_json(store.encoder_weights)
    for record in read:
        before = known.get(_place(record)) if isinstance(known, dict) else None
        if not record.weights and before and before != record.sha256:
            raise BenchError(
                f"encoder '{record.name}' holds other weights than when this run was last scored "
                f"(SHA-256 {before[:16]}... before, {str(record.sha256)[:16]}... now) under the "
                f"same revision '{record.revision}'; give its record another revision, and all is "
                "scored anew"
            )
    store.write_json(store.encoder_weights, {_place(record): record.sha256 for record in read})


def _place(record: Record) -> str:
    return f"{record.weights or record.name}@{record.revision}"


def inputs(plan: Plan, store: Store, source: Source, shared: str | None = None) -> str:
    """Identity of all inputs of the rows of a checkpoint or of real images. `shared` is the result
    of `shared_inputs`, where it is known already."""
    drawn = (
        (plan.drawn_by(source), plan.prompts_uid(source)) if isinstance(source, Checkpoint) else ()
    )
    shared = shared or shared_inputs(plan, store)
    return NOW + uid(shared, str(source), drawn, versions(plan.study, source))


def shared_inputs(plan: Plan, store: Store) -> str:
    """Identity of the inputs that the rows of all sources share: base images, dataset, held-out
    images and encoders."""
    return uid(
        plan.study.name, plan.drawn_by(BASE_CHECKPOINT), plan.prompts_uid(BASE_CHECKPOINT),
        plan.data.fingerprint, plan.heldout.fingerprint if plan.heldout else None,
        [record.hash for record in records(plan.study, store)],
    )  # fmt: skip


def inputs_of_0_1(plan: Plan, store: Store, source: Source) -> str:
    """The identity of inputs that versions 0.1 stored, made of the uid of every image."""
    base = plan.jobs(BASE_CHECKPOINT)
    is_drawn = isinstance(source, Checkpoint)
    jobs = plan.jobs(source) if isinstance(source, Checkpoint) else []
    return uid(
        plan.study.name, str(source if is_drawn else None),
        [(job.uid, job.text) for job in jobs], [(job.uid, job.text) for job in base],
        plan.data.fingerprint, plan.heldout.fingerprint if plan.heldout else None,
        [record.hash for record in records(plan.study, store)], versions(plan.study, source),
    )  # fmt: skip


def versions(study: Study, source: Source) -> list[tuple[Any, ...]]:
    """The metrics that rows of a source are of, and what each reads besides images."""
    return [
        (metric.__name__, metric.version, *contents(metric.inputs))
        for metric in metrics(study)
        if source.is_drawn or not metric.equal_n
    ]


def rows(plan: Plan, store: Store, source: Source) -> pd.DataFrame | None:
    """The stored rows of a source; None where there are none, or their inputs have changed."""
    stored = store.frame(store.metrics(store.branch(source))) or packed_rows.rows(store, source)
    if stored is None:
        return None
    frame, made_from = stored
    identity = inputs if made_from.startswith(NOW) else inputs_of_0_1
    if made_from != identity(plan, store, source):
        return None
    frame = frame if "protocol" in frame else _under_protocol(plan, frame, source)
    frame = frame if "second" in frame else frame.assign(second="")  # before prompts named two
    names = MetricRow.columns()
    return frame[names] if set(frame.columns) == set(names) else None


def _under_protocol(plan: Plan, frame: pd.DataFrame, source: Source) -> pd.DataFrame:
    """Rows that were stored before fingerprints had a protocol, under that of their images: as
    their inputs are the present ones, it is the plan's."""
    known = protocols(plan, source)
    cells = frame[["category", "class", "subclass", "prompt_type"]].itertuples(index=False)
    drawn = [known[*cell, ""] for cell in cells]
    marks = map(fingerprint, frame["fingerprint"], drawn)
    return frame.assign(fingerprint=list(marks), protocol=drawn)


def tables(plan: Plan, store: Store) -> Iterator[pd.DataFrame]:
    """The valid rows of each of the plan's checkpoints and of real images, where there are any."""
    scored: list[Source] = [*plan.checkpoints, REAL_IMAGES]
    found = (rows(plan, store, source) for source in scored)
    return (frame for frame in found if frame is not None)


def joined(tables: Iterable[pd.DataFrame | None]) -> pd.DataFrame | None:
    """The tables one below the other; None where there is none."""
    frames = [frame for frame in tables if frame is not None]
    return pd.concat(frames, ignore_index=True) if frames else None


def identities(plan: Plan) -> list[dict[str, Any]]:
    """The identity of the inputs of each checkpoint's rows. The metric table and the run folder
    both carry it, so that a table is not read with another study's settings."""
    settings = plan.study.settings
    shared = uid(
        plan.data.fingerprint, plan.heldout.fingerprint if plan.heldout else None,
        settings.sampling.identity(),
        settings.scoring.model_dump(exclude={"batch_size"}),
    )  # fmt: skip
    return [
        {
            **dict(zip(KEY, _key(c), strict=True)),
            "identity": uid(shared, plan.drawn_uid(c), plan.taught.prompts_uid(c.configuration)),
        }
        for c in plan.study.checkpoints
    ]


def of_other_settings(store: Store, frame: pd.DataFrame, carried: str) -> list[str]:
    """The checkpoints of a metric table whose identities differ from those of the run folder.
    `carried` holds the table's identities as JSON; it is empty for an imported table, which is
    taken as it is. StoreError: those of the run folder are damaged."""
    if not carried:
        return []
    known = store.read_json(store.identities)
    if known is None and store.identities.exists():
        raise StoreError(
            f"{store.identities} is damaged, so it is not known of which settings the rows are; "
            "run 'lycoris-bench score' with the study file"
        )
    if not isinstance(known, list):  # older versions wrote another form
        return []
    of_run, of_table = _by_key(known), _by_key(json.loads(carried))
    return [
        checkpoint_name(*key)
        for key in _keys(frame)
        if key != _key(REAL_IMAGES) and of_table.get(key) != of_run.get(key)
    ]


def sources_in(frame: pd.DataFrame, study: Study) -> list[Source]:
    """The checkpoints of a study, and real images, that a metric table has rows of."""
    there = set(_keys(frame))
    known: list[Source] = [*study.checkpoints, REAL_IMAGES]
    return [source for source in known if _key(source) in there]


Key = tuple[str, int | None, int | None, float]


def _keys(frame: pd.DataFrame) -> list[Key]:
    keys = frame[list(KEY)].drop_duplicates().astype(object)
    return list(keys.where(keys.notna(), None).itertuples(index=False, name=None))


def _key(source: Source) -> Key:
    """The values of the columns KEY for a source."""
    return source.configuration.name, source.seed, source.epoch, source.strength


def _by_key(stored: Any) -> dict[Key, str]:
    """Key -> identity, from the result of `identities`; empty for any other value."""
    rows = stored if isinstance(stored, list) else []
    return {tuple(row.get(name) for name in KEY): row.get("identity") for row in rows}
