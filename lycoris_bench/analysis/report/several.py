"""What the report says of several concepts: interference, merging, and two in a prompt."""

from typing import Any

import pandas as pd

from lycoris_bench.analysis.columns import OVERALL, first_views, ordered, seen_as, trained, words
from lycoris_bench.analysis.series import name
from lycoris_bench.analysis.several_concepts.differences import Differences
from lycoris_bench.analysis.several_concepts.pairs import SHARES
from lycoris_bench.analysis.several_concepts.sentences import sentences

TABLE = ["configuration", "against"]


def shown(
    differences: Differences | None, both: pd.DataFrame | None, metrics: pd.DataFrame
) -> dict[str, Any] | None:
    """Sentences and tables of the main views; None where a study has none of it. metrics: those
    that are ranked, whose first encoders are the main ones."""
    pairs = [] if both is None else [*both.to_dict("records")]
    if differences is None and not pairs:
        return None
    views = first_views(trained(metrics))
    return {
        "sentences": sentences(differences) if differences else [],
        "interference": _tables(differences.interference, views) if differences else [],
        "merging": _tables(differences.merging, views) if differences else [],
        "shares": SHARES,
        "pairs": [{**row, "name": name(row["configuration"], row["strength"])} for row in pairs],
    }


def _tables(table: pd.DataFrame, views: pd.DataFrame) -> list[dict[str, Any]]:
    """A table for each pair of what is compared: a row a view and strength, a column a concept."""
    found = []
    for (configuration, against), part in seen_as(views, table).groupby(TABLE, sort=False):
        single = part[~part["concept"].str.contains(" and ")]  # pairs are in the mean alone
        concepts = [OVERALL, *(c for c in ordered(single["concept"]) if c != OVERALL)]
        rows = []
        keys = ["metric", "encoder", "prompt_type", "strength"]
        for (metric, encoder, kind, strength), row in part.groupby(keys, sort=False):
            cells = {one["concept"]: one for one in row.to_dict("records")}
            rows.append({
                "name": name(configuration, strength), "metric": words(metric), "prompt_type": kind,
                "encoder": encoder, "better": row["better"].iloc[0],
                "cells": [cells.get(concept) for concept in concepts],
            })  # fmt: skip
        found.append(
            {"name": configuration, "against": against, "concepts": concepts, "rows": rows}
        )
    return found
