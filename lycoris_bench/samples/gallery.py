"""The images of a report on images that exist already."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from lycoris_bench.analysis.report.gallery import Gallery
from lycoris_bench.analysis.report.image_choice import (
    CONCEPTS,
    ROWS,
    Entry,
    as_far_as,
    of_each_set,
    real_images,
    that_fit,
    thumbnail,
)
from lycoris_bench.samples.sets import Cell, SamplesPlan
from lycoris_bench.study.records import BASE_CHECKPOINT, Checkpoint, Concept


def gallery(plan: SamplesPlan) -> Gallery:
    """Thumbnails of the base model and of the columns, image k of each being of the same prompt."""
    drawn = [column for column in plan.columns if not column.is_base]
    shown = spread(drawn, ROWS - 1)
    if BASE_CHECKPOINT in plan.columns:
        shown = [BASE_CHECKPOINT, *shown]
    concepts = list(dict.fromkeys(cell.concept for cell in plan.prompt_sets))
    small = cache(thumbnail)

    def entries_of(concept: Concept, count: int) -> list[Entry]:
        cells = [cell for cell in plan.prompt_sets if cell.concept == concept]
        return [_entry(plan, cell, shown, small, count) for cell in cells]

    entries, there, count = that_fit(concepts[:CONCEPTS], entries_of)
    parts = [of_each_set(count)]
    if len(there) < len(concepts):
        parts.insert(0, f"{len(there)} of {len(concepts)} concepts")
    if len(drawn) > ROWS - 1:
        parts.insert(0, f"{ROWS - 1} of {len(drawn)} columns, at even distances")
    noise = "" if plan.by_seed else " That they have the same noise is not known."
    left_out = f"Shown are {', '.join(parts)}.{noise}" if entries else ""
    return Gallery(entries, left_out, real_images(plan.data, concepts))


def spread(columns: Sequence[Checkpoint], most: int) -> list[Checkpoint]:
    """So many of the columns, at even distances, the first and the last among them."""
    if len(columns) <= most:
        return list(columns)
    return [columns[round(k * (len(columns) - 1) / (most - 1))] for k in range(most)]


def _entry(
    plan: SamplesPlan,
    cell: Cell,
    shown: Sequence[Checkpoint],
    small: Callable[[Path], bytes | None],
    count: int,
) -> Entry:
    rows, prompts = [], dict[str, None]()
    for column in shown:
        own = [
            s for s in plan.columns[column]
            if (s.concept, s.prompt_type) == (cell.concept, cell.prompt_type)
        ][:count]  # fmt: skip
        if images := as_far_as(small(s.path) for s in own):
            rows.append({"label": str(column), "images": images})
            prompts |= {s.prompt: None for s in own if s.prompt}
    return {
        "concept": str(cell.concept),
        "prompt_type": cell.prompt_type,
        "prompt": " | ".join([*prompts][:count]),
        "rows": rows,
    }
