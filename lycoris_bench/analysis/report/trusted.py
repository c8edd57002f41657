"""What the report says of how far metrics can be trusted."""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import pandas as pd

from lycoris_bench.analysis.columns import OVERALL, words
from lycoris_bench.analysis.plots.whiskers import Line, whiskers
from lycoris_bench.analysis.report.figures import Figure
from lycoris_bench.analysis.trust.judge import Trust
from lycoris_bench.analysis.trust.truths import TRUTHS, Truth
from lycoris_bench.messages.numbers import ABSENT, fixed
from lycoris_bench.messages.printable import lines

MOST = 15  # configurations that are put too high or too low
LOW = 0.3  # of tau: whose whole interval is below it, says nothing of the truth
VIEW = ["metric", "encoder", "resize", "prompt_type"]


def shown(trust: Trust, categories: Sequence[str]) -> dict[str, Any]:
    """Sentences, a table a question, who is put too high, and what the paper's choices gain; of
    each encoder's first resizing. categories: in the order of the page's."""
    first = _first_resizings(trust.agreements)
    questions = [
        {"truth": truth, "rows": rows}
        for truth in TRUTHS
        if (rows := list(_rows(_asked(first, truth), categories)))
    ]
    return {
        "sentences": [*_sentences(first), *_of_resizings(trust.agreements)],
        "categories": categories,
        "questions": questions,
        "misled": list(_misled(_first_resizings(trust.misled), categories[0])),
        "choices": list(_choices(trust.choices)),
    }


def figures(trust: Trust, category: str) -> Iterator[Figure]:
    """Tau and its interval of each view and question, over all categories."""
    first = _first_resizings(trust.agreements)
    for truth in TRUTHS:
        rows = _asked(first[first["category"] == category], truth)
        lines = [
            Line(f"{words(r.metric)}\n{r.encoder}", r.prompt_type, r.tau, r.tau_low, r.tau_high)
            for r in rows.itertuples()
        ]
        if lines:
            yield Figure(
                whiskers(lines, truth.heading.partition(":")[0], "Kendall’s tau with the truth"),
                f"Kendall's tau of each metric with the truth, with intervals: {truth.heading}",
            )


def _first_resizings(rows: pd.DataFrame) -> pd.DataFrame:
    first = rows.drop_duplicates(["metric", "encoder"])[["metric", "encoder", "resize"]]
    return rows.merge(first, on=["metric", "encoder", "resize"])


def _asked(rows: pd.DataFrame, truth: Truth) -> pd.DataFrame:
    return rows[(rows["asks"] == truth.key) & rows["tau"].notna()]


def _rows(rows: pd.DataFrame, categories: Sequence[str]) -> Iterator[dict[str, Any]]:
    for (metric, encoder, _, kind), part in rows.groupby(VIEW, sort=False):
        by_category = part.set_index("category")[["tau", "tau_low", "tau_high"]].to_dict("index")
        yield {
            "metric": words(metric), "encoder": encoder, "prompt_type": kind,
            "cells": [by_category.get(name) for name in categories],
        }  # fmt: skip


def _named(row: Any) -> str:
    return f"{words(row.metric)} by {row.encoder} on {row.prompt_type} prompts"


def _tau(row: Any) -> str:
    return f"tau {fixed(row.tau)}, {fixed(row.tau_low)} to {fixed(row.tau_high)}"


def _sentences(first: pd.DataFrame) -> Iterator[str]:
    overall = first[first["category"] == OVERALL]
    for truth in TRUTHS:
        rows = _asked(overall, truth).sort_values("tau", ascending=False)
        if rows.empty:
            continue
        best, *rest = rows.itertuples()
        question = truth.heading.partition(":")[0]
        if not any(row.tau_low > 0 for row in (best, *rest)):
            near = f"the nearest is {_named(best)} ({_tau(best)})"
            yield f"{question}: no metric surely agrees with the truth; {near}."
            continue
        said = f"{question}: {_named(best)} is nearest to the truth ({_tau(best)})"
        if low := [row for row in rest if row.tau_high < LOW]:
            said += f"; {_named(low[-1])} says next to nothing of it ({_tau(low[-1])})"
        yield f"{said}."


def _of_resizings(rows: pd.DataFrame) -> Iterator[str]:
    asked = rows[(rows["asks"] != "") & (rows["category"] == OVERALL)]
    spread = asked.groupby(["metric", "encoder", "prompt_type", "asks"])["tau"].agg(["size", "std"])
    ranges = asked.groupby(["metric", "encoder", "prompt_type", "asks"])["tau"]
    moved = (ranges.max() - ranges.min())[spread["size"] > 1]
    if len(moved):
        yield f"Over all categories another resizing moves tau by at most {fixed(moved.max())}."


def _misled(rows: pd.DataFrame, category: str) -> Iterator[dict[str, Any]]:
    """Who surely stands on the wrong side of most others, then the farthest from where they
    belong."""
    rows = rows[rows["category"] == category]
    sure = rows["wrongly_above"] + rows["wrongly_below"]
    order = rows.assign(sure=sure, far=rows["too_high"].abs()).sort_values(
        ["sure", "far"], ascending=False, kind="stable"
    )
    for row in order.head(MOST).itertuples():
        yield {
            "name": row.series, "question": row.asks, "view": _named(row),
            "position": row.position, "true": row.true_position, "too_high": row.too_high,
            "sure": _wrong_sides(row), "address": _pictures(row),
        }  # fmt: skip


def _wrong_sides(row: Any) -> str:
    """Beyond chance: of how many a configuration is on the wrong side."""
    sides = {"above": row.wrongly_above, "below": row.wrongly_below}
    return ", ".join(f"{side} {count}" for side, count in sides.items() if count) or ABSENT


def _pictures(row: Any) -> str:
    """The address of the page's pictures of a configuration, on the prompts in question."""
    view = "/".join((row.metric, row.prompt_type, row.encoder, row.resize))
    asked = {"y": view, "pin": row.series, "kind": row.prompt_type}
    return "#pictures?" + urlencode({k: lines(v) for k, v in asked.items()}, quote_via=quote)


def _choices(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """By choice and question: how often it surely helps and hurts, and the median of its gain."""
    for (choice, asks), part in rows.groupby(["choice", "asks"], sort=False):
        helps, hurts = (part["gain_low"] > 0).sum(), (part["gain_high"] < 0).sum()
        yield {
            "choice": choice, "question": asks, "gain": float(part["gain"].median()),
            "helps": int(helps), "hurts": int(hurts), "of": len(part),
        }  # fmt: skip
