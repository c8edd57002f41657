"""The images of a report: those that it is given, and their layout on the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lycoris_bench.analysis.columns import ordered


@dataclass(frozen=True)
class Gallery:
    """`entries`: per concept and prompt type `concept`, `prompt_type`, `prompt` and `rows`, each a
    checkpoint's `label` and `images` (bytes); `left_out`: what there is besides, in a sentence."""

    entries: Sequence[Mapping[str, Any]] = ()
    left_out: str = ""


EMPTY = Gallery()


def by_concept(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Per concept a table of images: rows are checkpoints, columns prompt types."""
    tables = []
    for concept in ordered(str(entry["concept"]) for entry in entries):
        columns = [entry for entry in entries if str(entry["concept"]) == concept]
        labels = ordered(row["label"] for entry in columns for row in entry["rows"])
        labels.sort(key=lambda label: label != "base")
        cells = [{row["label"]: list(row["images"]) for row in entry["rows"]} for entry in columns]
        rows = [{"label": label, "cells": [c.get(label, []) for c in cells]} for label in labels]
        tables.append({"concept": concept, "columns": columns, "rows": rows})
    return tables
