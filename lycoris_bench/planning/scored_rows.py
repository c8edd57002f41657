"""What is scored: the stored rows of each checkpoint, as long as they are of the study as it is.

A table is believed only under the identity of all that it was computed from, so that no number
is ever reported as that of other settings."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from lycoris_bench.files.identity import uid
from lycoris_bench.planning.plan import Plan
from lycoris_bench.run.store import Store
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.encoders.base import Record
from lycoris_bench.scoring.metrics import METRICS
from lycoris_bench.study.records import BASE_CHECKPOINT, REAL, Checkpoint, Configuration, MetricRow

OUTPUTS = {"image": ("image", "image+text"), "text": ("image+text",), "gram": ("gram",)}
KEY = ("configuration", "seed", "epoch", "strength")
NOW = "rows-"  # before an identity of inputs since 0.2
NOT_NUMBERS = {"batch_size", "compile", "strength"}  # of sampling: they move none, or have a row


def metrics(plan: Plan) -> list[Any]:
    """Those the study names, by their own name or the one they have in the table; else all."""
    named = plan.study.settings.scoring.metrics
    found = METRICS.entries().items()
    return [m for name, m in found if not named or {name, m.called} & set(named)]


def suiting(plan: Plan, spec: str) -> list[Any]:
    """The metrics that can look through an encoder."""
    outputs = encoders.record(spec).outputs
    return [metric for metric in metrics(plan) if outputs in OUTPUTS[metric.encoder]]


def branch(store: Store, checkpoint: Checkpoint | None) -> Path:
    """Where a checkpoint's rows are stored (None: those of real images)."""
    return store.branch(checkpoint) if checkpoint else Path(REAL)


def records(plan: Plan, store: Store) -> list[Record]:
    """The encoders' records with the content of their weights: of the file that is here, else of
    the one that this run last read, so that scores can be analyzed on another machine."""
    scoring, read = plan.study.settings.scoring, store.read_json(store.encoder_weights)
    found = [encoders.resolved(spec, scoring.weights_of(spec)) for spec in scoring.encoders]
    known = read if isinstance(read, dict) else {}
    return [r if r.sha256 else replace(r, sha256=known.get(_place(r))) for r in found]


def keep(store: Store, made: list[Record]) -> None:
    """Notes the content of the weights that a run reads."""
    store.write_json(store.encoder_weights, {_place(record): record.sha256 for record in made})


def _place(record: Record) -> str:
    return f"{record.weights}@{record.revision}"


def inputs(
    plan: Plan, store: Store, checkpoint: Checkpoint | None, shared: str | None = None
) -> str:
    """Identity of all that the rows of a checkpoint are computed from; of what those of all
    checkpoints are computed from, where that is known (`shared_inputs`)."""
    images = (plan.drawn_by(checkpoint), plan.prompts_uid(checkpoint)) if checkpoint else ()
    shared = shared or shared_inputs(plan, store)
    return NOW + uid(shared, str(checkpoint), images, _versions(plan, checkpoint))


def shared_inputs(plan: Plan, store: Store) -> str:
    """Identity of what the rows of every checkpoint are computed from: what it is held against,
    and the encoders."""
    return uid(
        plan.study.name, plan.drawn_by(BASE_CHECKPOINT), plan.prompts_uid(BASE_CHECKPOINT),
        plan.data.fingerprint, plan.heldout.fingerprint if plan.heldout else None,
        [record.hash for record in records(plan, store)],
    )  # fmt: skip


def inputs_of_0_1(plan: Plan, store: Store, checkpoint: Checkpoint | None) -> str:
    """The same as versions 0.1 stored it, over the uid of every image."""
    base = plan.jobs(BASE_CHECKPOINT)
    jobs = plan.jobs(checkpoint) if checkpoint else []
    return uid(
        plan.study.name, str(checkpoint),
        [(job.uid, job.text) for job in jobs], [(job.uid, job.text) for job in base],
        plan.data.fingerprint, plan.heldout.fingerprint if plan.heldout else None,
        [record.hash for record in records(plan, store)], _versions(plan, checkpoint),
    )  # fmt: skip


def _versions(plan: Plan, checkpoint: Checkpoint | None) -> list[tuple[str, int]]:
    return [
        (metric.__name__, metric.version)
        for metric in metrics(plan)
        if checkpoint or not metric.equal_n
    ]


def rows(plan: Plan, store: Store, checkpoint: Checkpoint | None) -> pd.DataFrame | None:
    """The rows of a checkpoint; None where there are none, or where they are of other inputs."""
    found = store.frame(store.metrics(branch(store, checkpoint)))
    if found is None:
        return None
    frame, made_from = found
    identity = inputs if made_from.startswith(NOW) else inputs_of_0_1
    if made_from != identity(plan, store, checkpoint):
        return None
    return frame if list(frame.columns) == MetricRow.columns() else None


def table(plan: Plan, store: Store) -> pd.DataFrame | None:
    """All rows that are scored of the plan's checkpoints; None where none are."""
    return joined(rows(plan, store, checkpoint) for checkpoint in [*plan.checkpoints, None])


def joined(found: Iterable[pd.DataFrame | None]) -> pd.DataFrame | None:
    """One table of several; None where there is none."""
    frames = [frame for frame in found if frame is not None]
    return pd.concat(frames, ignore_index=True) if frames else None


def identities(plan: Plan) -> dict[str, str]:
    """Checkpoint -> identity of what its rows are made from, without the uid of each image: a
    metric table carries it, and the run folder, so that neither is read beside another."""
    settings = plan.study.settings
    shared = uid(
        plan.data.fingerprint, plan.heldout.fingerprint if plan.heldout else None,
        settings.sampling.model_dump(exclude=NOT_NUMBERS),
        settings.scoring.model_dump(exclude={"batch_size"}),
    )  # fmt: skip
    drawn: dict[str, str] = {}  # by captions
    for c in plan.study.checkpoints:
        if c.configuration.captions not in drawn:
            drawn[c.configuration.captions] = uid(plan.prompt_sets_of(c))
    return {
        str(c): uid(shared, plan.drawn_uid(c), drawn[c.configuration.captions])
        for c in plan.study.checkpoints
    }


def of_other_settings(store: Store, frame: pd.DataFrame, carried: str) -> list[str]:
    """The checkpoints of a metric table whose rows are of other things than the run folder says,
    by what the table carries. One that carries nothing was imported: it is as it is."""
    known = store.read_json(store.identities)
    if not carried or not isinstance(known, dict):
        return []
    made = json.loads(carried)
    keys = frame[list(KEY)].drop_duplicates().astype(object)
    names = [_name(*key) for key in keys.where(keys.notna(), None).itertuples(index=False)]
    return [name for name in names if name != REAL and made.get(name) != known.get(name)]


def _name(configuration: str, seed: int | None, epoch: int | None, strength: float) -> str:
    """A checkpoint's own name for a row of the table."""
    if configuration == REAL:
        return REAL
    return str(Checkpoint(Configuration(configuration, ""), seed, epoch, strength))
