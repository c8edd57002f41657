"""Stage 4: the metric table becomes ranks, explanations, findings and a report."""

from typing import Any

import pandas as pd

from lycoris_bench import runtime
from lycoris_bench.analysis.run import analyze_tables
from lycoris_bench.plan import Plan
from lycoris_bench.sight import by_set
from lycoris_bench.store import Store
from lycoris_bench.vocabulary import BASE_CHECKPOINT, Checkpoint

SHOWN = 4  # images of a set that the report's gallery shows
SETS = 8  # sets that it shows


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
        table, factors(plan), _gallery(plan, store),
        store.read_json(store.root / "provenance.json") or {}, costs, failures,
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
            "lr": c.lr,
            "lr_level": rates[c.algorithm].index(c.lr) + 1,
            "capacity": c.capacity,
            "importance": c.importance,
            "options": ", ".join(f"{key} {value}" for key, value in c.options),
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
    scored = set(zip(table["configuration"], table["seed"], table["epoch"], strict=True))
    lacking = {}
    for checkpoint in plan.checkpoints[1:]:
        key = (checkpoint.configuration.name, checkpoint.seed, checkpoint.epoch)
        if key not in scored:
            card = store.card(checkpoint)
            diverged = card is not None and card["status"] == "diverged"
            reason = f"diverged: {card['reason']}" if diverged and card else "is not scored"
            lacking[str(checkpoint)] = reason
    return lacking


def _gallery(plan: Plan, store: Store) -> list[dict[str, Any]]:
    """Images of a few sets for every checkpoint of the first seed at its last epoch, base first.

    The sets are one of each prompt type for concepts spread over the categories."""
    shown = [BASE_CHECKPOINT, *_last(plan)]
    by_checkpoint = {checkpoint: by_set(plan.jobs(checkpoint)) for checkpoint in shown}
    gallery = []
    for prompt_set in _spread(plan):
        key = (prompt_set.concept, prompt_set.prompt_type)
        rows = []
        for checkpoint in shown:
            paths = [store.image(j.image_set, j.k) for j in by_checkpoint[checkpoint][key][:SHOWN]]
            images = [path.read_bytes() for path in paths if path.exists()]
            if images:
                rows.append({"label": str(checkpoint), "images": images})
        jobs = by_checkpoint[BASE_CHECKPOINT][key][:SHOWN]
        gallery.append({
            "concept": str(prompt_set.concept),
            "prompt_type": prompt_set.prompt_type,
            "prompt": " | ".join(dict.fromkeys(job.prompt for job in jobs)),
            "rows": rows,
        })  # fmt: skip
    return gallery


def _last(plan: Plan) -> list[Checkpoint]:
    """Each configuration's first seed and last epoch."""
    last: dict[str, Checkpoint] = {}
    for checkpoint in plan.checkpoints[1:]:
        if checkpoint.seed == plan.study.settings.seeds[0]:
            last[checkpoint.configuration.name] = checkpoint
    return list(last.values())


def _spread(plan: Plan) -> list[Any]:
    """At most SETS prompt sets: concepts of different categories and prompt types in turn."""
    kinds = plan.study.settings.sampling.prompt_types
    first: dict[str, Any] = {}
    for prompt_set in plan.prompt_sets:
        first.setdefault(prompt_set.concept.category, prompt_set.concept)
    concepts = list(first.values())
    wanted = [(concept, kind) for concept in concepts for kind in kinds]
    found = {(p.concept, p.prompt_type): p for p in plan.prompt_sets}
    step = max(1, len(concepts) * len(kinds) // SETS)
    picked = wanted if len(wanted) <= SETS * 2 else wanted[::step]
    return [found[key] for key in picked if key in found]
