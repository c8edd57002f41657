"""The images of a report: those that it is given, and their layout on the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lycoris_bench.analysis.columns import ordered


@dataclass(frozen=True)
class Gallery:
    """`entries`: per concept and prompt type `concept`, `prompt_type`, `prompt` and `rows`, each a
    checkpoint's `label` and its `images` (bytes) 0, 1, ... as far as they are there; `left_out`:
    what there is besides, in a sentence. `real`: real images of each concept; `training`: training
    images that a drawn one is nearest to, by the SHA-256 of their files. All are thumbnails."""

    entries: Sequence[Mapping[str, Any]] = ()
    left_out: str = ""
    real: Mapping[str, Sequence[bytes]] = field(default_factory=dict)
    training: Mapping[str, bytes] = field(default_factory=dict)


EMPTY = Gallery()


def by_concept(
    entries: Sequence[Mapping[str, Any]], real: Mapping[str, Sequence[bytes]]
) -> list[dict[str, Any]]:
    """Per concept a table of images, rows being checkpoints and columns prompt types, and its real
    images."""
    tables = []
    for concept in ordered(str(entry["concept"]) for entry in entries):
        columns = [entry for entry in entries if str(entry["concept"]) == concept]
        labels = ordered(row["label"] for entry in columns for row in entry["rows"])
        labels.sort(key=lambda label: label != "base")
        cells = [{row["label"]: list(row["images"]) for row in entry["rows"]} for entry in columns]
        rows = [{"label": label, "cells": [c.get(label, []) for c in cells]} for label in labels]
        shown = list(real.get(concept, ()))
        tables.append({"concept": concept, "columns": columns, "rows": rows, "real": shown})
    return tables
