"""Stage 4: the metric table becomes ranks, explanations, findings and a report."""

from typing import Any

import pandas as pd

from lycoris_bench import reporting, runtime, scored
from lycoris_bench.gallery import gallery
from lycoris_bench.plan import Plan
from lycoris_bench.store import Store
from lycoris_bench.vocabulary import BASE, REAL

NOT_SCORED = "is not scored under the study's present settings; run 'lycoris-bench score'"


def analyze(plan: Plan, store: Store, options: runtime.Options) -> runtime.Outcome:
    """Analyzes what is scored; checkpoints of the study that are not are named failures."""
    table = scored.table(plan, store)
    if table is None or set(table["configuration"]) <= {BASE, REAL}:
        return runtime.Outcome(failed=_failures(plan, store, table))
    return reporting.write_analysis(
        store, table, reporting.factors(plan.study.configurations), gallery(plan, store),
        pd.DataFrame(_costs(plan, store)), _failures(plan, store, table),
        heldout=plan.heldout is not None,
    )  # fmt: skip


def _costs(plan: Plan, store: Store) -> list[dict[str, Any]]:
    """What each configuration and seed cost up to its last checkpoint, from the cards."""
    rows = []
    for run in plan.by_run():
        cards = [card for c in run if (card := store.card(c)) and card["status"] == "done"]
        if cards:
            about = {"configuration": run[0].configuration.name, "seed": run[0].seed}
            cost = cards[-1].get("cost")
            known = cost if isinstance(cost, dict) else {}
            rows.append({**known, **about, "size": cards[-1].get("bytes")})
    return rows


def _failures(plan: Plan, store: Store, table: pd.DataFrame | None) -> dict[str, str]:
    """The study's checkpoints that the table lacks, and why."""
    names = ["configuration", "seed", "epoch", "strength"]
    there: set[Any] = set()
    if table is not None:
        known = table[names].astype(object).where(table[names].notna(), None)
        there = set(known.itertuples(index=False, name=None))
    lacking = {}
    for checkpoint in plan.checkpoints:
        key = (
            checkpoint.configuration.name, checkpoint.seed, checkpoint.epoch, checkpoint.strength
        )  # fmt: skip
        if key not in there:
            reason = plan.unusable(store, checkpoint) or ""
            lacking[str(checkpoint)] = reason if "diverged" in reason else NOT_SCORED
    return lacking
