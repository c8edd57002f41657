"""Stage 4: the metric table becomes ranks, explanations, findings and a report."""

from pathlib import Path
from typing import Any

import pandas as pd

from lycoris_bench import runtime
from lycoris_bench.analysis.run import analyze_tables
from lycoris_bench.gallery import gallery
from lycoris_bench.plan import Plan
from lycoris_bench.store import Store


def analyze(plan: Plan, store: Store, options: runtime.Options) -> runtime.Outcome:
    """Analyzes what is scored; checkpoints of the study that are not are named failures."""
    outcome = runtime.Outcome()
    found = store.frame(store.table("metrics"))
    if found is None:
        outcome.failed["metrics.parquet"] = "is missing; run 'lycoris-bench score'"
        return outcome
    table = found[0]
    costs = pd.DataFrame(_costs(plan, store))
    failures = _failures(plan, store, table)
    result = analyze_tables(
        table, factors(plan), gallery(plan, store),
        store.read_json(store.provenance) or {}, costs, failures,
    )  # fmt: skip
    for name in ("scores", "aggregate", "shap", "correlation"):
        store.put_frame(store.table(name), getattr(result, name))
    store.write_json(store.findings, {**result.findings, "refusals": result.refusals})
    store.write(store.report, result.html)
    outcome.done, outcome.failed = 1, failures
    return outcome


def factors(plan: Plan) -> pd.DataFrame:
    """One row per configuration: what varies. `lr_level` counts the algorithm's rates from 1."""
    configurations = plan.study.configurations
    rates: dict[str, list[float]] = {}
    for c in configurations:
        rates[c.algorithm] = sorted({c.lr, *rates.get(c.algorithm, [])})
    return pd.DataFrame([
        {
            "configuration": c.name,
            "algorithm": c.algorithm,
            "preset": c.preset,
            "lr": c.lr or None,
            "lr_level": rates[c.algorithm].index(c.lr) + 1,
            "capacity": c.capacity,
            "importance": c.importance,
            "options": ", ".join(f"{Path(key).name} {value}" for key, value in c.options),
        }
        for c in configurations
    ])  # fmt: skip


def _costs(plan: Plan, store: Store) -> list[dict[str, Any]]:
    """What each configuration and seed cost up to its last checkpoint, from the cards."""
    rows = []
    for run in plan.by_run():
        cards = [card for c in run if (card := store.card(c)) and card["status"] == "done"]
        if cards:
            about = {"configuration": run[0].configuration.name, "seed": run[0].seed}
            rows.append({**about, **cards[-1]["cost"], "size": cards[-1]["bytes"]})
    return rows


def _failures(plan: Plan, store: Store, table: pd.DataFrame) -> dict[str, str]:
    """The study's checkpoints that the table lacks, and why."""
    names = ("configuration", "seed", "epoch", "strength")
    known = table[list(names)].astype(object).where(table[list(names)].notna(), None)
    scored = set(known.itertuples(index=False, name=None))
    lacking = {}
    for checkpoint in plan.checkpoints[1:]:
        key = (
            checkpoint.configuration.name, checkpoint.seed, checkpoint.epoch, checkpoint.strength
        )  # fmt: skip
        if key not in scored:
            reason = plan.unusable(store, checkpoint) or ""
            lacking[str(checkpoint)] = reason if "diverged" in reason else "is not scored"
    return lacking
