"""Stage 4: the metric table becomes ranks, explanations, findings and a report."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from lycoris_bench.analysis import run_tables
from lycoris_bench.analysis.coded import stacked
from lycoris_bench.analysis.copying.pair_images import pair_images, training_images
from lycoris_bench.analysis.copying.pairs import SIMILARITY
from lycoris_bench.analysis.keeping.kept import store_prompts
from lycoris_bench.analysis.report import kept_gallery
from lycoris_bench.analysis.report.image_choice import gallery
from lycoris_bench.analysis.report.pictures import found
from lycoris_bench.planning import scored_rows
from lycoris_bench.planning.plan import Plan
from lycoris_bench.planning.status import Status
from lycoris_bench.run import outcome
from lycoris_bench.run.store import Store
from lycoris_bench.study.records import BASE, REAL

NOT_SCORED = "is not scored under the study's present settings; run 'lycoris-bench score'"


def analyze(
    plan: Plan, store: Store, options: outcome.Options, failed: Mapping[str, str] | None = None
) -> outcome.Outcome:
    """Analyzes the checkpoints that are scored; the outcome names the others as failures. `failed`:
    why, where the same command has found it."""
    table = stacked(scored_rows.tables(plan, store))
    failures = {**_unscored(plan, store, table), **(failed or {})}
    if table is None or set(table["configuration"]) <= {BASE, REAL}:
        return outcome.Outcome(failed=failures)
    if plan.study.given:
        store_prompts(store, plan.prompt_sets)
    there = found(store, scored_rows.sources_in(table, plan.study), table)
    shown = replace(gallery(plan, store), training=training_images(plan, there))
    kept_gallery.keep(store, shown)
    return run_tables.write_analysis(
        store, table, run_tables.factors(plan.study.configurations), plan.study,
        shown, pd.DataFrame(_costs(plan, store)), failures,
        heldout=plan.heldout is not None, pairs=_pairs(plan, store, table), pictures=there,
    )  # fmt: skip


def _pairs(plan: Plan, store: Store, table: pd.DataFrame) -> pd.DataFrame | None:
    """The worst pairs, where it was asked who copies."""
    return pair_images(plan, store) if (table["metric"] == SIMILARITY).any() else None


def _costs(plan: Plan, store: Store) -> list[dict[str, Any]]:
    """The training cost of each configuration and seed at its last checkpoint, from its card."""
    rows = []
    for run in plan.by_run():
        known = [store.trained(c, plan.checkpoint_uid(c)) for c in run]
        cards = [card for card in known if card and card.status == "done"]
        if cards:
            about = {"configuration": run[0].configuration.name, "seed": run[0].seed}
            rows.append({**cards[-1].cost, **about, "size": cards[-1].bytes})
    return rows


def _unscored(plan: Plan, store: Store, table: pd.DataFrame | None) -> dict[str, str]:
    """The checkpoints that have no row in the table, each with the reason."""
    status = Status(plan, store)
    names = ["configuration", "seed", "epoch", "strength"]
    there: set[Any] = set()
    if table is not None:
        known = table[names].astype(object).where(table[names].notna(), None)
        there = set(known.itertuples(index=False, name=None))
    failed = {}
    for checkpoint in plan.checkpoints:
        key = (
            checkpoint.configuration.name, checkpoint.seed, checkpoint.epoch, checkpoint.strength
        )  # fmt: skip
        if key not in there:
            reason = status.unusable(checkpoint) or ""
            failed[str(checkpoint)] = reason if "diverged" in reason else NOT_SCORED
    return failed
